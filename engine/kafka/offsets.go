package kafka

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/ashi-stream/ashi/engine/internal/rare"
)

// commitAgain is how often the group hears of all marks, those that it should know included.
const commitAgain = 10 * time.Minute

// marks is how far each claim is released, and how far the group knows. Safe for concurrent use.
type marks struct {
	commit func(context.Context, map[string]map[int32]int64) error
	moved  chan struct{} // a token: a mark went up

	// telling has room for one at a time (a channel, as it is held while time passes): an older
	// commit that comes last would take a mark back, or meet the partition's next owner.
	telling chan struct{}

	mu       sync.Mutex
	released map[string]map[int32]int64
	told     map[string]map[int32]int64
}

func newMarks(commit func(context.Context, map[string]map[int32]int64) error) *marks {
	return &marks{
		commit: commit, moved: make(chan struct{}, 1), telling: make(chan struct{}, 1),
		released: make(map[string]map[int32]int64), told: make(map[string]map[int32]int64),
	}
}

// mark notes the offset to read next; only the highest of a claim counts.
func (k *marks) mark(topic string, partition int32, offset int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if offset <= k.released[topic][partition] {
		return
	}
	set(k.released, topic, partition, offset)
	token(k.moved)
}

// begin notes where a claim starts: the last owner may have ended before it told the group.
func (k *marks) begin(topic string, partition int32, offset int64) {
	k.forget(topic, partition)
	k.mark(topic, partition, offset)
}

// forget takes a claim out: it is somebody else's.
func (k *marks) forget(topic string, partition int32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.released[topic], partition)
	delete(k.told[topic], partition)
}

// untold is what the group does not know yet.
func (k *marks) untold() map[string]map[int32]int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	news := make(map[string]map[int32]int64)
	for topic, partitions := range k.released {
		for partition, offset := range partitions {
			if offset > k.told[topic][partition] {
				set(news, topic, partition, offset)
			}
		}
	}
	return news
}

// tell commits what is untold. After an error it stays untold.
func (k *marks) tell(ctx context.Context) error {
	k.telling <- struct{}{}
	defer func() { <-k.telling }()
	news := k.untold()
	if len(news) == 0 {
		return nil
	}
	if err := k.commit(ctx, news); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for topic, partitions := range news {
		if k.told[topic] == nil {
			k.told[topic] = make(map[int32]int64)
		}
		maps.Copy(k.told[topic], partitions)
	}
	return nil
}

// doubt lets the next tell commit all marks.
func (k *marks) doubt() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.told)
}

// run tells the group every second while marks move, and soon after the last of a burst, until ctx
// is done. A commit that fails is tried again: the offsets are for monitors, nothing depends on
// them. All is told again now and then: a commit that was not answered may have been on its way for
// longer than the next one, and is then the last that the group has heard of.
func (k *marks) run(ctx context.Context, log *slog.Logger) {
	limited := rare.New(log)
	again := time.NewTicker(commitAgain)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			k.doubt()
		case <-k.moved:
		}
		k.settle(ctx)
		if err := k.tell(context.WithoutCancel(ctx)); err != nil && ctx.Err() == nil {
			limited.Warn("kafka: offsets not committed", "error", err)
			if pause(ctx, commitEvery) == nil {
				token(k.moved)
			}
		}
	}
}

// settle waits until marks have been still for a moment, a second at most.
func (k *marks) settle(ctx context.Context) {
	latest := time.NewTimer(commitEvery)
	defer latest.Stop()
	for {
		quiet := time.NewTimer(commitQuiet)
		select {
		case <-ctx.Done():
		case <-latest.C:
		case <-quiet.C:
		case <-k.moved:
			quiet.Stop()
			continue
		}
		quiet.Stop()
		return
	}
}

func set(m map[string]map[int32]int64, topic string, partition int32, offset int64) {
	if m[topic] == nil {
		m[topic] = make(map[int32]int64)
	}
	m[topic][partition] = offset
}
