package kafka

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// lostAfter is how long after the last answer a cluster counts as lost, whether it refuses or
// hangs: a second answer has time to come, and the 2 s of RDY-3 are kept.
func (c Config) lostAfter() time.Duration { return c.WatchInterval / 2 * 5 }

// Watch asks any broker of the cluster for a sign of life until ctx is done, and calls told with an
// error, which wraps ErrUnavailable, when none has answered for two and a half intervals (1.25 s),
// and with nil when one does again. It begins with a cluster that is there. Fetches cannot tell:
// they wait for data as long as there is none, and so would a broker that hangs.
//
// The same questions bring the numbers of partitions of topics, which heard gets with each answer;
// it must not block.
func Watch(ctx context.Context, cfg Config, told func(error), topics []string, heard func(map[string]int32)) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	dials, watchEvery, lostAfter := new(dialErrors), cfg.WatchInterval, cfg.lostAfter()
	// A context does not end the handshake of a connection: these do.
	client, err := cfg.connect(kgo.WithHooks(dials), kgo.DialTimeout(lostAfter), kgo.RequestTimeoutOverhead(lostAfter))
	if err != nil {
		return err
	}
	answers := make(chan error)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer client.Close() // ends a question that is under way
	asking.Go(func() { ask(ctx, cfg, client, answers, topics, heard) })

	due := time.Now().Add(lostAfter)
	timer := time.NewTimer(lostAfter)
	defer timer.Stop()
	wait := func(d time.Duration) {
		due = time.Now().Add(d)
		timer.Reset(d)
	}
	lost, last := false, context.DeadlineExceeded
	for {
		select {
		case <-ctx.Done():
			return nil
		case last = <-answers:
			if last != nil {
				continue
			}
			wait(lostAfter)
			last = context.DeadlineExceeded
			if lost {
				lost = false
				told(nil)
			}
		case <-timer.C:
			switch {
			case lost:
			case time.Since(due) > watchEvery:
				wait(watchEvery) // the process was paused, not the broker: ask before judging
			default:
				lost = true
				told(fmt.Errorf("no answer for %v from %s: %w", lostAfter, cfg.addresses(), dials.explain(last)))
			}
		}
	}
}

// ask sends what came of a question, each WatchInterval, until ctx is done.
func ask(ctx context.Context, cfg Config, client *kgo.Client, answers chan<- error, topics []string,
	heard func(map[string]int32)) {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{} // nil would be all
	for _, topic := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(topic)
		req.Topics = append(req.Topics, t)
	}
	tick := time.NewTicker(cfg.WatchInterval)
	defer tick.Stop()
	for {
		asked, cancel := context.WithTimeout(ctx, cfg.lostAfter())
		resp, err := req.RequestWith(asked, client)
		cancel()
		if err == nil && heard != nil {
			found := Found{Topics: make(map[string]FoundTopic, len(topics))}
			if found.add(resp) == nil {
				heard(found.partitions())
			}
		}
		select {
		case answers <- err:
		case <-ctx.Done():
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
