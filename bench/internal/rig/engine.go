package rig

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
)

// Main is a program's main: interrupts end ctx, and an error ends the process.
func Main(name string, run func(ctx context.Context, args []string, stdout, stderr io.Writer) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
}

// Beside runs the engine while f works, and ends it when f has returned. If the engine ends first,
// f's context is done. An error of the engine goes before one of f.
func Beside(ctx context.Context, e *engine.Engine, f func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		defer stop()
		ended <- e.Run(ctx)
	}()
	err := f(ctx)
	stop()
	if failed := <-ended; failed != nil {
		return failed
	}
	return err
}

// Await asks until it is done.
func Await(ctx context.Context, poll time.Duration, done func() (bool, error)) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Write writes n rows to a stream.
func Write[T any](ctx context.Context, e *engine.Engine, to *dsl.StreamOf[T], n int, row func(i int) T) error {
	rows := make([]T, 0, 20_000)
	for i := range n {
		rows = append(rows, row(i))
		if len(rows) == cap(rows) || i == n-1 {
			if err := engine.Add(ctx, e, to, rows...); err != nil {
				return err
			}
			rows = rows[:0]
		}
	}
	return nil
}

// Profile begins a CPU profile, if file is not empty, and returns what ends it.
func Profile(file string) (finish func(), err error) {
	if file == "" {
		return func() {}, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, fmt.Errorf("rig: CPU profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, fmt.Errorf("rig: CPU profile: %w", errors.Join(err, f.Close()))
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}, nil
}
