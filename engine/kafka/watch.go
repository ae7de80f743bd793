package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// watchEvery is the time between two questions of Watch, and lostAfter how long after the last answer a cluster counts as lost. Where
	// questions fail at once it is found out by the next one: 1.5 s after the last answer, of the 2 s that RDY-3 allows.
	watchEvery = 500 * time.Millisecond
	lostAfter  = 1250 * time.Millisecond
)

// Watch asks any broker of the cluster for a sign of life until ctx is done, and calls told with an error, which wraps
// ErrUnavailable, when none has answered for 1.25 s, and with nil when one does again. It begins with a cluster that is there. Fetches
// cannot tell: they wait for data as long as there is none, and so would a broker that hangs.
func Watch(ctx context.Context, cfg Config, told func(error)) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	dials := new(dialErrors)
	client, err := cfg.connect(kgo.WithHooks(dials))
	if err != nil {
		return err
	}
	defer client.Close()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{} // none; nil would be all
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	answered, lost := time.Now(), false
	for {
		// A process that was paused itself has not waited for the broker: it asks before it judges.
		deadline := later(answered.Add(lostAfter), time.Now().Add(watchEvery))
		asked, cancel := context.WithDeadline(ctx, deadline)
		_, err := req.RequestWith(asked, client)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			if answered = time.Now(); lost {
				lost = false
				told(nil)
			}
		case !lost && time.Since(answered) >= lostAfter:
			lost = true
			told(fmt.Errorf("no answer for %v from %s: %w", lostAfter, cfg.addresses(), dials.explain(err)))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
