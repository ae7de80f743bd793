package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ashi-stream/ashi/engine/internal/rare"
	"github.com/ashi-stream/ashi/engine/internal/task"
)

const (
	// batchSize is how many records are decoded at a time: enough to spread the cost of a call, few
	// enough to stay in cache.
	batchSize = 1024

	boundedWait = 500 * time.Millisecond // for data, where the end is near and a hole at the end must not take long
)

// FollowConfig says what to follow.
type FollowConfig struct {
	Topic string
	// ID is the topic that offsets are of: another one of the name is an ErrOtherTopic. Zero: the
	// first that is found.
	ID task.TopicID
	// From is the partitions to follow, and for each the offset to read first; Oldest is the start
	// of its log.
	From map[int32]int64
	// Until is where each partition of From ends: the offset after the last record that is wanted.
	// Nil: never.
	Until map[int32]int64
	// Ahead bounds, roughly, the bytes that are fetched and not yet applied, of all partitions
	// together. A partition takes 64 KiB at least, and a batch of records that is larger; it takes
	// 8 MiB at most, which is also the default.
	Ahead int
	// Apply gets the records in order, from one goroutine, and the offset to read next. It is also
	// called without records when only the position moved, over markers and aborted data, or from
	// Oldest to a number. records is valid until it returns, what they point to for ever. Its error
	// ends Follow.
	Apply func(partition int32, records []task.Record, next int64) error
	// End, if not nil, is told where the committed records of a partition end, at each answer of a
	// broker: every FetchWait (5 s) at least while there is one. They may have ended there only
	// when the broker was asked: the answer may have waited, as for a process that was stopped. It
	// is called by several goroutines and must not block.
	End func(partition int32, end int64, asked time.Time)
}

// Follow reads the committed records of a topic's partitions and hands them to Apply. It returns
// nil when every partition's position has reached its bound, Apply's error, the context's,
// ErrOutOfRange for an offset that the log does not have, or ErrOtherTopic. The bound is a
// position: a log that ends in a marker, in aborted or in compacted data ends nevertheless; one
// whose end is still open (a transaction under way) is waited for. Trouble with brokers, or a topic
// that is missing, is retried for ever, with a log line now and then.
func Follow(ctx context.Context, cfg Config, fc FollowConfig) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	client, err := cfg.connect()
	if err != nil {
		return err
	}
	defer client.Close()
	f := &follower{cfg: fc, remaining: len(fc.From), records: make([]task.Record, batchSize), decoder: newDecoder(),
		arrived: make(chan struct{}, 1)}
	if err := f.begin(ctx, client, rare.New(cfg.Logger)); err != nil {
		return fmt.Errorf("kafka: follow topic %s: %w", fc.Topic, err)
	}
	wait := cfg.FetchWait
	if fc.Until != nil {
		wait = boundedWait
	}
	f.fetcher = newFetcher(client, cfg.Logger, wait, fc.Ahead, f.feeds...)
	if fc.End != nil {
		f.fetcher.told = func(_ string, partition int32, end int64, asked time.Time) { fc.End(partition, end, asked) }
	}
	if err := f.run(ctx); err != nil {
		return cfg.Advise(fmt.Errorf("kafka: follow topic %s: %w", fc.Topic, err))
	}
	return nil
}

type follower struct {
	cfg       FollowConfig
	fetcher   *fetcher
	feeds     []*feed
	remaining int // partitions that have not reached their bound
	records   []task.Record
	decoder   *decoder
	arrived   chan struct{}
}

// begin checks the offsets against the log: a position past the end would otherwise look like the
// end.
func (f *follower) begin(ctx context.Context, client *kgo.Client, log *rare.Log) error {
	starts, ends, err := bounds(ctx, client, f.cfg, log)
	if err != nil {
		return err
	}
	for partition, from := range f.cfg.From {
		d := &feed{topic: f.cfg.Topic, topicID: f.cfg.ID, partition: partition, next: from, arrived: f.arrived}
		start, end := starts[partition].Offset, ends[partition].Offset
		switch {
		case from == Oldest:
			d.next, d.fromStart = start, true
			if err := f.cfg.Apply(partition, nil, start); err != nil {
				return err
			}
		case from < start || from > end:
			return fmt.Errorf("%w: partition %d has %d to %d, and %d is to be read next", ErrOutOfRange, partition,
				start, end, from)
		}
		f.feeds = append(f.feeds, d)
	}
	return nil
}

// bounds asks until every partition has an answer.
func bounds(ctx context.Context, client *kgo.Client, fc FollowConfig, log *rare.Log) (starts,
	ends map[int32]kadm.ListedOffset, err error) {
	admin := kadm.NewClient(client)
	var b backoff
	for {
		starts, err = listed(ctx, fc, admin.ListStartOffsets)
		if err == nil {
			ends, err = listed(ctx, fc, admin.ListEndOffsets)
		}
		if err == nil {
			return starts, ends, nil
		}
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		log.Warn("kafka: cannot find where the log begins and ends", "topic", fc.Topic, "error", err)
		if err := b.wait(ctx); err != nil {
			return nil, nil, err
		}
	}
}

func listed(ctx context.Context, fc FollowConfig, list func(context.Context, ...string) (kadm.ListedOffsets,
	error)) (map[int32]kadm.ListedOffset, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	all, err := list(ctx, fc.Topic)
	if err != nil {
		return nil, err
	}
	for partition := range fc.From {
		o, known := all.Lookup(fc.Topic, partition)
		if !known {
			return nil, fmt.Errorf("partition %d is not known", partition)
		}
		if o.Err != nil {
			return nil, fmt.Errorf("partition %d: %w", partition, o.Err)
		}
	}
	return all[fc.Topic], nil
}

func (f *follower) run(ctx context.Context) error {
	for _, d := range f.feeds {
		f.reached(d, d.next)
	}
	fetching, stop := context.WithCancel(ctx)
	failed := make(chan error, 1)
	go func() { failed <- f.fetcher.run(fetching) }()
	defer func() {
		stop()
		<-failed
	}()
	return f.read(ctx, failed)
}

func (f *follower) read(ctx context.Context, failed chan error) error {
	for f.remaining > 0 {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-failed:
			failed <- err
			if err == nil { // it saw the context first
				err = context.Cause(ctx)
			}
			return err
		case <-f.arrived:
		}
		for _, d := range f.feeds {
			for c := f.fetcher.pop(d); c != nil; c = f.fetcher.pop(d) {
				if err := f.apply(d.partition, c); err != nil {
					return err
				}
				f.fetcher.used(d)
				f.reached(d, c.next)
			}
		}
	}
	return nil
}

// reached takes a partition off the list when it is at its bound. Without bounds none ever is.
func (f *follower) reached(d *feed, position int64) {
	if until, bounded := f.cfg.Until[d.partition]; bounded && position >= until {
		f.fetcher.end(d)
		f.remaining--
	}
}

func (f *follower) apply(partition int32, c *chunk) error {
	f.decoder.start(c)
	for told := false; !told || f.decoder.position < c.next; told = true {
		n, err := f.decoder.fill(f.records)
		if err != nil {
			return fmt.Errorf("partition %d: %w", partition, err)
		}
		if err := f.cfg.Apply(partition, f.records[:n], f.decoder.position); err != nil {
			return err
		}
	}
	return nil
}
