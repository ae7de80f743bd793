package engine_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/windows"
)

// The machine's clock is wrong by up to an hour, and jumps there and back before every batch and
// across crashes; one record in twenty is ten years ahead or behind. Finals are those of the good
// records under a steady clock: results go by event time, a record far behind is late, and one far
// ahead is dropped by the clock, so that it closes nothing (MaxAhead, here three hours, must be
// more than clocks differ).
func TestClockJumps(t *testing.T) {
	seed := simSeed(t)
	r := rand.New(rand.NewPCG(seed, 12))
	p := newPipeline(t, "fx", "rates")
	good := randomRates(r, dayStart, 4000, 200*time.Millisecond)
	good = append(good, endRates(good, 2)...)
	options := enginetest.Options{Partitions: 2, Start: dayStart.Add(30 * time.Minute), Ahead: 3 * time.Hour}
	steady := enginetest.NewWith(t, p.plan, options)
	addRates(t, steady, p, good)

	jumping := enginetest.NewWith(t, p.plan, options)
	off, ahead, behind := time.Duration(0), int64(0), int64(0)
	for i := 0; i < len(good); i += 40 {
		next := time.Duration(r.Int64N(int64(2*time.Hour))) - time.Hour
		jumping.Advance(next - off)
		off = next
		batch := good[i:min(i+40, len(good))]
		addRates(t, jumping, p, batch[:len(batch)/2])
		for _, years := range []int{-10, 10} {
			wild := batch[r.IntN(len(batch))]
			wild.At = wild.At.AddDate(years, 0, 0)
			if i == 0 && years < 0 {
				continue // nothing has come before it: it would be the first of its partition, and not late
			}
			addRates(t, jumping, p, []Rate{wild})
			if years > 0 {
				ahead++
			} else {
				behind++
			}
		}
		addRates(t, jumping, p, batch[len(batch)/2:])
		if r.IntN(4) == 0 {
			jumping.Crash()
		}
	}
	rows := 0
	for _, size := range []time.Duration{time.Minute, 5 * time.Minute} {
		topic := p.final.Stream(size).Topic
		for partition := range int32(2) {
			want := steady.Partition(topic, partition)
			rows += len(want)
			require.Equal(t, want, jumping.Partition(topic, partition), "%s/%d", topic, partition)
		}
	}
	require.Greater(t, rows, 100)
	require.Equal(t, ahead, jumping.Dropped("ahead_of_clock"))
	require.Equal(t, 2*behind, jumping.Dropped("late")-steady.Dropped("late"), "for each of two sizes")
}

func addRates(t *testing.T, d *enginetest.Driver, p *pipeline, rates []Rate) {
	t.Helper()
	ref := p.rates.StreamRef()
	var records []enginetest.Record
	for i := range rates {
		key, err := ref.Key(nil, &rates[i])
		require.NoError(t, err)
		value, err := ref.Encode(nil, &rates[i])
		require.NoError(t, err)
		records = append(records, enginetest.Record{Key: key, Value: value, Timestamp: windows.At(rates[i].At)})
	}
	d.AddRaw(ref.Topic, records...)
}
