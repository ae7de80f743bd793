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
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ashi-stream/ashi/engine/config"
	"github.com/ashi-stream/ashi/engine/internal/task"
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

const help = `deadletters lists dead letters, shows one, and sends their records again.

  deadletters list -brokers HOST:PORT [flags] [PARTITION:OFFSET ...]    a line for each letter
  deadletters show -brokers HOST:PORT PARTITION:OFFSET                  one letter, whole
  deadletters redrive -brokers HOST:PORT [flags] PARTITION:OFFSET ...   send these records again, or with -all those that match

In place of -brokers, -config FILE takes addresses, TLS and SASL from the application's configuration.
The flags of each: deadletters list -h. The status is 0, or 1 when anything named could not be found or sent.
`

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 && slices.Contains([]string{"-h", "-help", "--help", "help"}, args[0]) {
		fmt.Fprint(stderr, help)
		return flag.ErrHelp
	}
	if len(args) == 0 || !slices.Contains([]string{"list", "show", "redrive"}, args[0]) {
		return errors.New(usage)
	}
	c := command{out: stdout, kafka: kafka.Config{ClientID: "ashi-deadletters",
		Logger: slog.New(slog.NewTextHandler(stderr, nil))}}
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
	f.SetOutput(io.Discard) // an error is printed once, by main
	brokers := f.String("brokers", "", "addresses to begin with: host:port, several with commas")
	file := f.String("config", "", "the application's configuration, for its addresses, TLS and SASL; the environment counts too")
	f.StringVar(&c.topic, "topic", topology.DeadLetterTopic, "topic of the dead letters")
	if name != "show" {
		f.StringVar(&c.filter.source, "source", "", "only records of this topic")
		f.Func("class", "only errors of this class: "+strings.Join(task.Classes(), ", "), c.filter.setClass)
		f.StringVar(&c.filter.application, "application", "", "only letters of this application")
		f.StringVar(&c.filter.step, "step", "", "only records that failed at this step")
		f.Func("since", "only letters written at this time or later, as 2026-11-01T00:00:00Z", moment(&c.filter.since))
		f.Func("until", "only letters written before this time", moment(&c.filter.until))
	}
	switch name {
	case "list":
		f.IntVar(&c.limit, "n", 0, "only the last so many; 0: all")
		f.BoolVar(&c.pending, "pending", false, "only letters that were not sent again")
	case "redrive":
		f.StringVar(&c.to, "to", "", "topic to send to, by key; empty: where each came from")
		f.BoolVar(&c.all, "all", false, "all that match the other flags")
		f.BoolVar(&c.again, "again", false, "also letters that were sent again before")
	}
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		f.SetOutput(stderr)
		f.PrintDefaults()
		return err
	} else if err != nil {
		return fmt.Errorf("deadletters: %s: %w: deadletters %s -h prints the flags", name, err, name)
	}
	c.selected = f.Args()
	if err := c.checkSelected(name); err != nil {
		return err
	}
	return c.connect(*brokers, *file, stderr)
}

// checkSelected is about the letters that are named.
func (c *command) checkSelected(name string) error {
	switch n := len(c.selected); {
	case name == "show" && n != 1:
		return errors.New("deadletters: show wants one letter: PARTITION:OFFSET, as list prints it")
	case name == "redrive" && (n == 0) != c.all:
		return errors.New("deadletters: redrive wants letters, as PARTITION:OFFSET, or -all, and not both")
	}
	for _, place := range c.selected {
		if !places.MatchString(place) {
			return fmt.Errorf("deadletters: %s: %q is no letter: give PARTITION:OFFSET, such as 0:15, as list prints it; flags come before letters", name, place)
		}
	}
	return nil
}

var places = regexp.MustCompile(`^[0-9]+:[0-9]+$`)

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
