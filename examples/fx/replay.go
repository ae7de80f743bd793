package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"iter"
	"math"
	"strconv"
	"time"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka"
)

const (
	endPrefix = "~end-" // of the pairs that mark the end
	batchSize = 4096    // ticks per request at full speed
	silence   = 30 * time.Second
)

var errOtherTicks = errors.New(
	"the topic holds other ticks than those that are to be replayed: give the application another name (-app), or " +
		"another -dir")

// replay puts ticks into the topic, each once. A partition's ticks are always produced in the same
// order, so a partition that holds n ticks, put there by a run that was killed, wants those after
// the first n.
type replay struct {
	engine     *engine.Engine
	pipeline   *pipeline
	kafka      kafka.Config
	topic      string
	partitions int32
	rate       float64 // ticks a second; 0 is as fast as it goes
	screen     *screen
}

// end is how one can see that all is done: the markers' own first bars are the last that their
// partitions put out.
type end struct {
	markers []string // pairs, one for each partition
	at      time.Time
}

// run produces ticks and end markers.
func (r *replay) run(ctx context.Context, ticks iter.Seq2[Tick, error]) (end, error) {
	held, err := r.held(ctx)
	if err != nil {
		return end{}, fmt.Errorf("replay: what topic %s holds: %w", r.topic, err)
	}
	e := end{markers: endMarkers(r.partitions)}
	out := batch{replay: r, began: time.Now()}
	for t, err := range withMarkers(ticks, &e) {
		if err != nil {
			return end{}, err
		}
		if p := kafka.Partition([]byte(t.Pair), r.partitions); held[p].skips(&t) {
			continue
		}
		if err := out.add(ctx, t); err != nil {
			return end{}, err
		}
	}
	for _, h := range held {
		if h.count != 0 || h.sum.Sum64() != h.want {
			return end{}, fmt.Errorf("replay: %w", errOtherTicks)
		}
	}
	return e, out.flush(ctx)
}

// held reads what the partitions hold already.
func (r *replay) held(ctx context.Context) (map[int32]*prefix, error) {
	admin, err := kafka.NewAdmin(r.kafka)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	ends, err := admin.Ends(ctx, r.topic, false)
	if err != nil {
		return nil, err
	}
	held := map[int32]*prefix{}
	missing := int64(0)
	for p, n := range ends {
		held[p] = &prefix{count: n, sum: fnv.New64a()}
		missing += n
	}
	if missing == 0 {
		return seal(held), nil
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	patience := time.AfterFunc(silence, func() { stop(errOtherTicks) })
	defer patience.Stop()
	errAll := errors.New("all read")
	err = engine.ForEach(ctx, r.engine, r.pipeline.ticks, func(t Tick) error {
		patience.Reset(silence)
		held[kafka.Partition([]byte(t.Pair), r.partitions)].add(&t)
		if missing--; missing == 0 {
			return errAll
		}
		return nil
	})
	if errors.Is(err, errAll) {
		return seal(held), nil
	}
	return nil, errors.Join(context.Cause(ctx), err)
}

// prefix is the first ticks of a partition: how many, and a sum over them in their order.
type prefix struct {
	count int64
	sum   hash.Hash64
	want  uint64
}

// seal makes the sums so far the wanted ones, and begins anew for those of the ticks that are
// skipped.
func seal(held map[int32]*prefix) map[int32]*prefix {
	for _, h := range held {
		h.want = h.sum.Sum64()
		h.sum.Reset()
	}
	return held
}

func (h *prefix) add(t *Tick) {
	b := append(make([]byte, 0, 64), t.Pair...)
	for _, v := range []uint64{math.Float64bits(t.Bid), math.Float64bits(t.Ask), uint64(t.At.UnixMilli())} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	h.sum.Write(b)
}

// skips says that t is in the topic already.
func (h *prefix) skips(t *Tick) bool {
	if h.count == 0 {
		return false
	}
	h.count--
	h.add(t)
	return true
}

// batch collects ticks for one request, and keeps to the rate.
type batch struct {
	replay *replay
	ticks  []Tick
	sent   int
	began  time.Time
}

func (b *batch) add(ctx context.Context, t Tick) error {
	b.ticks = append(b.ticks, t)
	full := batchSize
	if rate := b.replay.rate; rate > 0 {
		full = min(max(int(rate/50), 1), batchSize)
	}
	if len(b.ticks) < full {
		return nil
	}
	return b.flush(ctx)
}

func (b *batch) flush(ctx context.Context) error {
	r := b.replay
	if len(b.ticks) == 0 {
		return nil
	}
	if err := engine.Add(ctx, r.engine, r.pipeline.ticks, b.ticks...); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	b.sent += len(b.ticks)
	r.screen.produced(b.ticks)
	b.ticks = b.ticks[:0]
	if r.rate <= 0 {
		return nil
	}
	due := b.began.Add(time.Duration(float64(b.sent) / r.rate * float64(time.Second)))
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Until(due)):
		return nil
	}
}

// endMarkers are reserved pairs, one in each partition: found by trial.
func endMarkers(partitions int32) []string {
	markers := make([]string, partitions)
	for i, missing := 0, partitions; missing > 0; i++ {
		pair := endPrefix + strconv.Itoa(i)
		if p := kafka.Partition([]byte(pair), partitions); markers[p] == "" {
			markers[p] = pair
			missing--
		}
	}
	return markers
}

// withMarkers is ticks, and then two ticks of each marker: the first closes every window of the
// ticks before it, the second closes the windows of the first. It sets e.at to the time of the
// first.
func withMarkers(ticks iter.Seq2[Tick, error], e *end) iter.Seq2[Tick, error] {
	return func(yield func(Tick, error) bool) {
		var newest time.Time
		for t, err := range ticks {
			if t.At.After(newest) {
				newest = t.At
			}
			if !yield(t, err) || err != nil {
				return
			}
		}
		if newest.IsZero() {
			yield(Tick{}, errors.New("replay: there are no ticks"))
			return
		}
		const hour = time.Hour // the largest size
		e.at = newest.Truncate(hour).Add(2 * hour)
		for _, at := range []time.Time{e.at, e.at.Add(2 * hour)} {
			for _, pair := range e.markers {
				if !yield(Tick{Pair: pair, Bid: 1, Ask: 1, At: at}, nil) {
					return
				}
			}
		}
	}
}
