package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/embedded"
)

const (
	partitions = 2
	commits    = 200 * time.Millisecond
	seed       = 1
	span       = 10 * time.Minute
)

// opening is when the market opens.
var opening = time.Date(2014, 5, 1, 8, 0, 0, 0, time.UTC)

func main() {
	if err := parse(os.Args[1:], os.Stderr); errors.Is(err, flag.ErrHelp) {
		return
	} else if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "trades:", err)
		os.Exit(1)
	}
}

// parse refuses arguments, as there are none, and explains the program where -h asks for it.
func parse(args []string, stderr io.Writer) error {
	f := flag.NewFlagSet("trades", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	err := f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(stderr,
			"trades: prints what trading cost in a made-up market, minute by minute. It has no flags and needs no "+
				"broker.")
		return err
	case err != nil:
		return fmt.Errorf("trades: %w: there are no flags", err)
	case f.NArg() > 0:
		return fmt.Errorf("trades: there are no arguments, but %q is given", f.Arg(0))
	}
	return nil
}

// run prints what trading cost in the made-up market.
func run(ctx context.Context, w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "in pips:\tminute\ttrades\tspread\tslippage\tworst\t")
	quotes, trades := market(seed, opening, span)
	err := costs(ctx, quotes, trades, func(c Cost) {
		fmt.Fprintf(t, "%s\t%s\t%d\t%.2f\t%.2f\t%.2f\t\n", c.Pair, c.Start.Format("15:04"), c.Trades, c.Spread/pip,
			c.Slippage/pip, c.WorstSlippage/pip)
	})
	return errors.Join(err, t.Flush())
}

// costs sends a market to a broker inside the process, and calls each with all minutes that the
// engine makes of it.
func costs(ctx context.Context, quotes []Quote, trades []Trade, each func(Cost)) error {
	broker, err := embedded.Start(embedded.Config{Topics: map[string]int32{"quotes": partitions, "trades": partitions}})
	if err != nil {
		return err
	}
	defer broker.Close()
	p, err := newPipeline("trades")
	if err != nil {
		return err
	}
	e, err := engine.New(p.plan, engine.Config{Brokers: broker.Addrs(), CommitInterval: commits,
		Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if err := send(ctx, e, p, quotes, trades); err != nil {
		return errors.Join(err, e.Close())
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	if err = e.WaitReady(ctx); err == nil {
		err = read(ctx, e, p, each)
	}
	stop()
	return errors.Join(err, <-ended)
}

// afterwards is when one more trade of each pair is made, alone in its minute.
var afterwards = opening.Add(span + time.Hour)

// send adds the market, and what closes its minutes. All of it is sent before the engine runs: it
// takes two topics in the order of their event times, but does not wait for what is not there yet.
func send(ctx context.Context, e *engine.Engine, p *pipeline, quotes []Quote, trades []Trade) error {
	for hour := range 3 {
		for _, pair := range pairs {
			at := afterwards.Add(time.Duration(hour) * time.Hour)
			quotes = append(quotes, Quote{Pair: pair.name, At: at})
			trades = append(trades, Trade{Pair: pair.name, At: at})
		}
	}
	if err := engine.Add(ctx, e, p.quotes, quotes...); err != nil {
		return err
	}
	return engine.Add(ctx, e, p.trades, trades...)
}

// errDone ends the reading.
var errDone = errors.New("all minutes are there")

// read calls each with the minutes as they close, until those are closed in which one trade was
// made afterwards.
func read(ctx context.Context, e *engine.Engine, p *pipeline, each func(Cost)) error {
	open := len(pairs)
	err := engine.ForEach(ctx, e, p.costs.Stream(time.Minute), func(c Cost) error {
		switch {
		case c.Start.Before(afterwards):
			each(c)
		case c.Start.Equal(afterwards):
			open--
		}
		if open == 0 {
			return errDone
		}
		return nil
	})
	if errors.Is(err, errDone) {
		return nil
	}
	return err
}
