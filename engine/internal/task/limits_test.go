package task_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/windows"
)

// noon is the clock of the tests of limits.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func after(d time.Duration) windows.Time { return windows.At(noon.Add(d)) }

// Timestamps that a topic's broker would refuse, or might where its clock is a minute off, are
// found before they are produced; so are records without a key for a compacted topic. All others go
// through, the last that is taken too.
func TestLimitsOfTopics(t *testing.T) {
	limits := enginetest.TopicLimits{Before: 24 * time.Hour, After: time.Hour, Keyed: true}
	for _, c := range []struct {
		at      time.Duration
		key     []byte
		refused string
	}{
		{0, []byte("a"), ""},
		{0, nil, "without a key"},
		{59 * time.Minute, []byte("a"), ""},
		{59*time.Minute + time.Millisecond, []byte("a"), "message.timestamp.after.max.ms"},
		{3 * time.Hour, []byte("a"), "message.timestamp.after.max.ms"},
		{-24*time.Hour + time.Minute, []byte("a"), ""},
		{-24*time.Hour + time.Minute - time.Millisecond, []byte("a"), "message.timestamp.before.max.ms"},
		{-10000 * time.Hour, []byte("a"), "message.timestamp.before.max.ms"},
	} {
		t.Run(fmt.Sprint(c.at, " ", string(c.key)), func(t *testing.T) {
			d, _ := deeds(t, enginetest.Options{Start: noon, Limits: map[string]enginetest.TopicLimits{"out": limits}},
				func(_ *dsl.Builder, s, _ *dsl.StreamOf[deed]) { s.OnError(dsl.DeadLetter) })
			d.AddRaw("deeds", deedAt(c.key, after(c.at)), deedAt([]byte("b"), after(0)))
			if c.refused == "" {
				require.Len(t, d.Partition("out", 0), 2)
				require.Empty(t, d.DeadLetters())
				return
			}
			require.Len(t, d.Partition("out", 0), 1)
			l := d.DeadLetters()
			require.Len(t, l, 1)
			require.Equal(t, []any{"refused", "deeds", int64(0)}, []any{l[0].Class, l[0].Topic, l[0].Offset})
			require.Contains(t, l[0].Text, "topic out")
			require.Contains(t, l[0].Text, c.refused)
		})
	}
}

// deedAt is a deed of nobody.
func deedAt(key []byte, at windows.Time) enginetest.Record {
	r := deedOf("x", "", at)
	r.Key = key
	return r
}

// A limit of a few seconds leaves half of it to clocks.
func TestShortLimit(t *testing.T) {
	d, _ := deeds(t, enginetest.Options{Start: noon,
		Limits: map[string]enginetest.TopicLimits{"out": {After: 10 * time.Second}}},
		func(*dsl.Builder, *dsl.StreamOf[deed], *dsl.StreamOf[deed]) {})
	d.AddRaw("deeds", deedAt([]byte("a"), after(5*time.Second)), deedAt([]byte("b"), after(6*time.Second)))
	require.Len(t, d.Partition("out", 0), 1)
	require.Equal(t, int64(1), d.Dropped("refused"))
}

// What a topic of late records, or of dead letters, does not take is no poison either: the late
// record meets its policy, and a letter that nobody takes ends the task, as its record must not be
// lost.
func TestLimitsOfOtherTopics(t *testing.T) {
	limits := map[string]enginetest.TopicLimits{"late": {Keyed: true, Before: time.Hour}}
	late := []enginetest.Record{deedOf("a", "", after(0)), deedOf("a", "", after(-2*time.Hour)),
		deedOf("a", "", after(-30*time.Minute))}
	b := dsl.New("app")
	s := dsl.Stream[deed](b, "deeds").OnError(dsl.DeadLetter)
	dsl.Aggregate(dsl.GroupBy(s, func(d *deed) string { return d.Name }), windows.Minutes(1),
		func(g dsl.Group[string, deed]) deed {
			return deed{Name: g.Key(), Does: aggregates.LatestByOffset(g, func(d *deed) string { return d.Does })}
		}).
		LateTo("late").Final()
	plan, err := b.Build()
	require.NoError(t, err)
	d := enginetest.NewWith(t, plan, enginetest.Options{Start: noon, Limits: limits})
	d.AddRaw("deeds", late...)
	require.Len(t, d.Partition("late", 0), 1)
	require.Equal(t, []any{"refused", int64(1)}, []any{d.DeadLetters()[0].Class, d.DeadLetters()[0].Offset})

	limits["dead.letter.queue"] = enginetest.TopicLimits{Keyed: true}
	d, _ = deeds(t, enginetest.Options{Limits: limits},
		func(_ *dsl.Builder, s, _ *dsl.StreamOf[deed]) { s.OnError(dsl.DeadLetter) })
	bad := deedOf("a", "fail", 1)
	bad.Key = nil
	err = d.TryRaw("deeds", bad)
	require.ErrorContains(t, err,
		"it cannot be a dead letter: topic dead.letter.queue does not take records without a key")
	require.ErrorAs(t, err, new(*task.RecordError))
}
