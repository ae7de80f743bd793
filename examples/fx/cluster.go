package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/config"
	"github.com/ashi-stream/ashi/engine/embedded"
	"github.com/ashi-stream/ashi/engine/kafka"
)

// configure is how the engine is to run: from -config, or from the flags. What neither says is what
// suits a replay.
func (o *options) configure(p *pipeline, stderr io.Writer) (cfg engine.Config, err error) {
	cfg = engine.Config{Brokers: o.brokers,
		Log: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	if o.config != "" {
		if cfg, err = config.Load(o.config, config.Options{Plan: p.plan, Output: stderr}); err != nil {
			return cfg, err
		}
		o.brokers = cfg.Brokers
	}
	if o.state == "" {
		o.state = cfg.StateDir
	}
	if cfg.CommitInterval == 0 {
		cfg.CommitInterval = commits
	}
	if cfg.SessionTimeout == 0 {
		cfg.SessionTimeout = 10 * time.Second // a run that was killed must not block the next for long
	}
	if cfg.MaxAhead == 0 {
		cfg.MaxAhead = engine.NoBound // the markers at the end are hours ahead of the newest ticks, which may be of now
	}
	if cfg.Tables.Default.Retention == 0 {
		cfg.Tables.Default.Retention = engine.NoBound // replays span months, and bars are read at their end
	}
	return cfg, nil
}

// needs are the permissions of the whole program: it creates and writes the topic of ticks, and
// shows provisional bars.
func (p *pipeline) needs(cfg engine.Config) []kafka.ACL {
	source, shown := p.ticks.StreamRef().Topic, p.changes.Stream(shownSize).Topic
	return append(engine.ACLs(p.plan, cfg),
		kafka.ACL{Resource: kafka.Topic, Name: source, Operation: kafka.Create},
		kafka.ACL{Resource: kafka.Topic, Name: source, Operation: kafka.Write},
		kafka.ACL{Resource: kafka.Topic, Name: shown, Operation: kafka.Read})
}

// cluster is how the program reaches Kafka beside the engine.
func (p *pipeline) cluster(cfg engine.Config) kafka.Config {
	c := cfg.Kafka(p.plan)
	c.Needs = p.needs(cfg)
	return c
}

// grants prints the commands that allow all that the program does.
func (o *options) grants(p *pipeline, cfg engine.Config, stdout io.Writer) error {
	if len(o.brokers) == 0 {
		return errors.New("-grants is for a real cluster: give -config or -brokers")
	}
	c := p.cluster(cfg)
	for _, command := range kafka.GrantCommands(c.Brokers, c.Principal(), c.Needs) {
		if _, err := fmt.Fprintln(stdout, command); err != nil {
			return err
		}
	}
	return nil
}

// startBroker starts a broker inside the process, unless there is a real one.
func (o *options) startBroker(cfg *engine.Config) (stop func(), err error) {
	if len(o.brokers) > 0 {
		return func() {}, nil
	}
	b, err := embedded.Start(embedded.Config{Dir: o.dir})
	if err != nil {
		return nil, err
	}
	o.brokers = b.Addrs()
	cfg.Brokers = o.brokers
	return b.Close, nil
}

// ensureTopic makes the topic of ticks if it is not there, and returns its number of partitions.
func (o *options) ensureTopic(ctx context.Context, c kafka.Config, topic string) (int32, error) {
	admin, err := kafka.NewAdmin(c)
	if err != nil {
		return 0, err
	}
	defer admin.Close()
	counts, err := admin.Partitions(ctx, topic)
	if err != nil || counts[topic] > 0 {
		return counts[topic], err
	}
	// Old event times are no reason to delete ticks: a topic's usual limit would.
	err = admin.Ensure(ctx, kafka.TopicSpec{Name: topic, Partitions: int32(o.partitions), Replication: -1,
		Config: map[string]string{"cleanup.policy": "delete", "retention.ms": "-1"}})
	return int32(o.partitions), err
}

// openState is the folder of the stores, and what to do with it at the end.
func (o *options) openState() (dir string, remove func() error, err error) {
	keep := func() error { return nil }
	switch o.state {
	case inMemory:
		return "", keep, nil
	case "":
		dir, err = os.MkdirTemp("", "ashi-fx-")
		return dir, func() error { return os.RemoveAll(dir) }, err
	}
	return o.state, keep, nil
}
