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
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ashi-stream/ashi/engine/config"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/topology"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// command is what was asked for.
type command struct {
	kafka    kafka.Config
	topic    string
	filter   filter
	pending  bool
	limit    int
	to       string
	all      bool
	again    bool
	selected []string // partition:offset
	out      io.Writer
}

const usage = "deadletters: want list, show or redrive: deadletters list -brokers HOST:PORT (or -config FILE) [flags] [PARTITION:OFFSET ...]"

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 || !slices.Contains([]string{"list", "show", "redrive"}, args[0]) {
		return errors.New(usage)
	}
	c := command{out: stdout, kafka: kafka.Config{ClientID: "ashi-deadletters", Logger: slog.New(slog.NewTextHandler(stderr, nil))}}
	if err := c.parse(args[0], args[1:], stderr); err != nil {
		return err
	}
	do := map[string]func(context.Context) error{"list": c.list, "show": c.show, "redrive": c.redrive}[args[0]]
	if err := do(ctx); err != nil {
		return fmt.Errorf("deadletters: %s: %w", args[0], err)
	}
	return nil
}

func (c *command) parse(name string, args []string, stderr io.Writer) error {
	f := flag.NewFlagSet("deadletters "+name, flag.ContinueOnError)
	f.SetOutput(stderr)
	brokers := f.String("brokers", "", "addresses to begin with: host:port, several with commas")
	file := f.String("config", "", "the application's configuration, for its addresses, TLS and SASL; the environment counts too")
	f.StringVar(&c.topic, "topic", topology.DeadLetterTopic, "topic of the dead letters")
	if name != "show" {
		f.StringVar(&c.filter.source, "source", "", "only records of this topic")
		f.StringVar(&c.filter.class, "class", "", "only errors of this class: decode, function, panic, encode, too_large, manual, ...")
		f.StringVar(&c.filter.application, "application", "", "only letters of this application")
		f.StringVar(&c.filter.step, "step", "", "only records that failed at this step")
		f.Func("since", "only letters written at this time or later, as 2026-11-01T00:00:00Z", moment(&c.filter.since))
		f.Func("until", "only letters written before this time", moment(&c.filter.until))
	}
	switch name {
	case "list":
		f.IntVar(&c.limit, "n", 0, "only the last so many; 0: all")
		f.BoolVar(&c.pending, "pending", false, "only letters that were not sent anew")
	case "redrive":
		f.StringVar(&c.to, "to", "", "topic to send to, by key; empty: where each came from")
		f.BoolVar(&c.all, "all", false, "all that match the other flags")
		f.BoolVar(&c.again, "again", false, "also letters that were sent anew before")
	}
	if err := f.Parse(args); err != nil {
		return err
	}
	c.selected = f.Args()
	if err := c.connect(*brokers, *file, stderr); err != nil {
		return err
	}
	switch n := len(c.selected); {
	case name == "show" && n != 1:
		return errors.New("deadletters: show wants one letter: PARTITION:OFFSET, as list prints it")
	case name == "redrive" && (n == 0) != c.all:
		return errors.New("deadletters: redrive wants letters, as PARTITION:OFFSET, or -all, and not both")
	}
	return nil
}

// connect says how the cluster is reached: addresses outdo those of the file.
func (c *command) connect(brokers, file string, stderr io.Writer) error {
	if file != "" {
		cfg, err := config.Load(file, config.Options{Output: stderr})
		if err != nil {
			return fmt.Errorf("deadletters: %w", err)
		}
		c.kafka.Brokers, c.kafka.Security, c.kafka.Client = cfg.Brokers, cfg.Security, cfg.Client
	}
	if brokers != "" {
		c.kafka.Brokers = strings.Split(brokers, ",")
	}
	if len(c.kafka.Brokers) == 0 {
		return errors.New("deadletters: no address given: -brokers HOST:PORT, or -config FILE")
	}
	return nil
}

func moment(to *time.Time) func(string) error {
	return func(s string) (err error) {
		*to, err = time.Parse(time.RFC3339, s)
		return err
	}
}
