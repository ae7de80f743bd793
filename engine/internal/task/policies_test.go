package task_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/engine/internal/murmur"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

type deed struct {
	Name string `ashi:"name,key" json:"name"`
	Does string `json:"does"` // what it does to functions
}

// deedOf is a record with a header, so that letters can be seen to keep it.
func deedOf(name, does string, at windows.Time) enginetest.Record {
	return enginetest.Record{Key: []byte(name), Value: fmt.Appendf(nil, `{"name":%q,"does":%q}`, name, does),
		Timestamp: at, Headers: []enginetest.Header{{Key: "trace", Value: []byte("t-" + name)}}}
}

// act is a user function.
func act(d *deed) (deed, error) {
	switch d.Does {
	case "fail":
		return *d, errors.New("it fails")
	case "panic":
		panic("it panics")
	case "dead":
		return *d, dsl.Dead("it wants to")
	}
	return *d, nil
}

// deeds runs orders through act to the topic out. change gets the stream and the step.
func deeds(t *testing.T, o enginetest.Options, change func(b *dsl.Builder, s, step *dsl.StreamOf[deed])) (
	*enginetest.Driver, *topology.Plan) {
	t.Helper()
	b := dsl.New("app")
	s := dsl.Stream[deed](b, "deeds")
	step := dsl.Map(s, act)
	step.To("out")
	change(b, s, step)
	plan, err := b.Build()
	require.NoError(t, err)
	return enginetest.NewWith(t, plan, o), plan
}

var poison = []enginetest.Record{deedOf("a", "", 10), deedOf("b", "fail", 20), deedOf("c", "panic", 30),
	{Key: []byte("d"), Value: []byte("{"), Timestamp: 40}, deedOf("e", "dead", 50), {Key: []byte("f"), Timestamp: 60},
	deedOf("g", "", 70)}

func outOf(d *enginetest.Driver) (names string) {
	for _, r := range d.Partition("out", 0) {
		names += string(r.Key)
	}
	return names
}

func TestLetters(t *testing.T) {
	d, plan := deeds(t, enginetest.Options{Start: time.UnixMilli(1_000_000)},
		func(_ *dsl.Builder, s, _ *dsl.StreamOf[deed]) { s.OnError(dsl.DeadLetter) })
	require.Equal(t, "dead.letter.queue", plan.DeadLetters)
	require.Contains(t, plan.Describe(), "on error: dlq")
	d.AddRaw("deeds", poison...)
	require.Equal(t, "ag", outOf(d))

	letters := d.DeadLetters()
	require.Len(t, letters, 5)
	for i, want := range []struct{ class, text, step string }{
		{"function", "it fails", "deeds-map"},
		{"panic", "task: user code panicked: it panics", "deeds-map"},
		{"decode", "", "deeds"},
		{"manual", "it wants to", "deeds-map"},
		{"null_value", "null_value", "deeds"},
	} {
		l, r := letters[i], poison[i+1]
		require.Equal(t, want.class, l.Class)
		require.Contains(t, l.Text, want.text)
		require.Equal(t, want.step, l.Step)
		require.Equal(t, []any{"deeds", int32(0), int64(i + 1), r.Timestamp, "app", "deeds/0", 0},
			[]any{l.Topic, l.Partition, l.Offset, l.Timestamp, l.Application, l.Task, l.Omitted})
		require.Equal(t, r.Key, l.Key)
		require.Equal(t, r.Value, l.Value)
		require.Len(t, l.Headers, len(r.Headers))
		require.Equal(t, want.class == "panic", strings.Contains(l.Stack, "policies_test.go"),
			"the stack is that of the panic: %s", l.Stack)
		require.LessOrEqual(t, len(l.Stack), 4<<10)
	}
	for _, r := range d.Partition("dead.letter.queue", 0) {
		require.EqualValues(t, 1_000_000, r.Timestamp,
			"the clock's: retention by time must not take a letter for an old one")
	}
	for _, reason := range []string{"failed", "undecodable", "null_value"} {
		require.Zero(t, d.Dropped(reason), "what is a letter is not counted as dropped")
	}
}

func TestSkip(t *testing.T) {
	d, plan := deeds(t, enginetest.Options{}, func(*dsl.Builder, *dsl.StreamOf[deed], *dsl.StreamOf[deed]) {})
	require.Empty(t, plan.DeadLetters)
	d.AddRaw("deeds", poison[0], poison[1], poison[2], poison[3], poison[5], poison[6])
	require.Equal(t, "ag", outOf(d))
	require.Equal(t, []int64{2, 1, 1}, []int64{d.Dropped("failed"), d.Dropped("undecodable"), d.Dropped("null_value")})
}

func TestFail(t *testing.T) {
	for i, want := range map[int]string{
		1: "task deeds/0: step deeds-map: record at offset 1 of deeds/0: it fails",
		2: "task deeds/0: step deeds-map: record at offset 1 of deeds/0: task: user code panicked: it panics",
		3: "task deeds/0: step deeds: record at offset 1 of deeds/0: codecs: json",
	} {
		d, _ := deeds(t, enginetest.Options{}, func(_ *dsl.Builder, s, _ *dsl.StreamOf[deed]) { s.OnError(dsl.Fail) })
		d.AddRaw("deeds", poison[0])
		err := d.TryRaw("deeds", poison[i], poison[6])
		require.ErrorContains(t, err, want)
		var record *task.RecordError
		require.ErrorAs(t, err, &record)
		require.Equal(t, "a", outOf(d), "nothing of the batch is committed")
		require.Equal(t, err, d.TryCommit(), "and nothing will be")
	}
}

// A function that returns dsl.Dead in a plan that has nowhere to send letters must not have its
// record dropped.
func TestDeadWithoutLetters(t *testing.T) {
	d, _ := deeds(t, enginetest.Options{}, func(*dsl.Builder, *dsl.StreamOf[deed], *dsl.StreamOf[deed]) {})
	require.ErrorContains(t, d.TryRaw("deeds", poison[4]),
		"it wants to: the plan has no dead letters: name their topic with DeadLetters")
	d, _ = deeds(t, enginetest.Options{},
		func(b *dsl.Builder, s, _ *dsl.StreamOf[deed]) { b.DeadLetters("my.letters"); s.OnError(dsl.Fail) })
	d.AddRaw("deeds", poison[4])
	require.Len(t, d.DeadLetters(), 1, "whatever the policy")
	require.Len(t, d.Partition("my.letters", 0), 1)
}

func TestPolicyOfAStepOutdoesItsSource(t *testing.T) {
	d, _ := deeds(t, enginetest.Options{}, func(_ *dsl.Builder, s, step *dsl.StreamOf[deed]) {
		s.OnError(dsl.DeadLetter).OnDecodeError(dsl.Fail)
		step.OnError(dsl.Skip)
	})
	d.AddRaw("deeds", poison[0], poison[1], poison[5])
	require.EqualValues(t, 1, d.Dropped("failed"))
	require.Equal(t, "null_value", d.DeadLetters()[0].Class)
	require.ErrorContains(t, d.TryRaw("deeds", poison[3]), "offset 3 of deeds/0")
}

type tagged struct {
	_    struct{} `ashi:"topic=deeds,onerror=dlq,ondecode=skip"`
	Name string   `ashi:"name,key" json:"name"`
	Does string   `json:"does"`
}

func TestPolicyInTags(t *testing.T) {
	b := dsl.New("app")
	dsl.Stream[tagged](b).Peek(func(d *tagged) error { return errors.New("never") }).To("out")
	plan, err := b.Build()
	require.NoError(t, err)
	d := enginetest.New(t, plan)
	d.AddRaw("deeds", poison[0], poison[3])
	require.Len(t, d.DeadLetters(), 1)
	require.EqualValues(t, 1, d.Dropped("undecodable"))
}

// Retries wait twice as long each time, are made for the errors that are wanted, and in between the
// task commits.
func TestRetry(t *testing.T) {
	calls := map[string]int{}
	b := dsl.New("app")
	s := dsl.Stream[deed](b, "deeds")
	lost := errors.New("the line is down")
	s.Peek(func(d *deed) error {
		calls[d.Name]++
		if d.Does == "flaky" && calls[d.Name] < 3 {
			return lost
		}
		_, err := act(d)
		return err
	}).To("out")
	s.OnError(dsl.Retry(3, time.Second, func(err error) bool {
		return errors.Is(err, lost) ||
			strings.Contains(err.Error(), "panics")
	}).Then(dsl.DeadLetter))
	plan, err := b.Build()
	require.NoError(t, err)
	d := enginetest.New(t, plan)
	began := d.Now()
	d.AddRaw("deeds", deedOf("a", "flaky", 1), deedOf("b", "fail", 2), deedOf("c", "panic", 3), deedOf("d", "dead", 4))
	require.Equal(t, map[string]int{"a": 3, "b": 1, "c": 4, "d": 1}, calls)
	require.Equal(t, 3*time.Second+7*time.Second, d.Now().Sub(began))
	require.Equal(t, "a", outOf(d))
	require.Len(t, d.DeadLetters(), 3)
}

func TestPoliciesThatCannotBe(t *testing.T) {
	b := dsl.New("app")
	s := dsl.Stream[deed](b, "deeds").OnError(dsl.Retry(21, time.Second, nil).Then(dsl.Skip))
	s.OnError(dsl.Skip)
	s.To("out").OnError(dsl.Retry(2, 0, nil).Then(dsl.Skip))
	_, err := b.Build()
	for _, want := range []string{"OnError is called twice", "a wait of 0s before the first retry"} {
		require.ErrorContains(t, err, want)
	}
	b = dsl.New("app")
	dsl.Stream[deed](b, "deeds").OnError(dsl.Retry(21, time.Second, nil).Then(dsl.DeadLetter)).To("dead.letter.queue")
	_, err = b.Build()
	require.ErrorContains(t, err, "21 retries: give 0 to 20")
	require.ErrorContains(t, err, `both write to topic "dead.letter.queue"`)
}

// However many of the rows of a record fail, and at whatever steps, it is one letter.
func TestOneLetterARecord(t *testing.T) {
	b := dsl.New("app")
	s := dsl.Stream[deed](b, "deeds").OnError(dsl.DeadLetter)
	dsl.FlatMap(s, func(d *deed) ([]deed, error) {
		return []deed{*d, *d, *d},
			nil
	}).Peek(func(d *deed) error { return errors.New("each") }).To("out")
	s.Peek(func(d *deed) error { return errors.New("other") }).To("out2")
	plan, err := b.Build()
	require.NoError(t, err)
	d := enginetest.New(t, plan)
	d.AddRaw("deeds", poison[0], poison[6])
	require.Len(t, d.DeadLetters(), 2)
	require.Zero(t, d.Dropped("failed"))
}

// A record that fails and stands where the last one stood that failed, in the next batch, is a
// letter of its own.
func TestLettersOfBatchesInOnePlace(t *testing.T) {
	d, _ := deeds(t, enginetest.Options{Batch: 1},
		func(_ *dsl.Builder, s, _ *dsl.StreamOf[deed]) { s.OnError(dsl.DeadLetter) })
	d.AddRaw("deeds", poison...)
	require.Len(t, d.DeadLetters(), 5)
	require.Equal(t, "ag", outOf(d))
}

// Letters come and go with the transaction.
func TestLettersAreCommittedOnce(t *testing.T) {
	d, _ := deeds(t, enginetest.Options{Manual: true, Batch: 2},
		func(_ *dsl.Builder, s, _ *dsl.StreamOf[deed]) { s.OnError(dsl.DeadLetter) })
	d.AddRaw("deeds", poison...)
	require.Empty(t, d.DeadLetters())
	d.Crash()
	d.FailCommits(task.ErrAborted)
	require.ErrorIs(t, d.TryCommit(), task.ErrAborted)
	require.Empty(t, d.DeadLetters())
	d.Crash()
	d.Commit()
	require.Len(t, d.DeadLetters(), 5)
	d.Crash()
	d.Commit()
	require.Len(t, d.DeadLetters(), 5)
	require.Equal(t, "ag", outOf(d))
}

// totals are the letters of deeds by name, a minute at a time, with names joined so that rows grow.
func totals(t *testing.T, o enginetest.Options, change func(s *dsl.StreamOf[deed],
	final *dsl.OutputOf[string, deed])) *enginetest.Driver {
	t.Helper()
	b := dsl.New("app")
	s := dsl.Stream[deed](b, "deeds")
	w := dsl.Aggregate(dsl.GroupByKey[string](s), windows.Minutes(1), func(g dsl.Group[string, deed]) deed {
		return deed{Name: g.Key(), Does: aggregates.LatestByOffset(g, func(d *deed) string { return d.Does })}
	})
	change(s, w.Final())
	plan, err := b.Build()
	require.NoError(t, err)
	return enginetest.NewWith(t, plan, o)
}

func TestTooLarge(t *testing.T) {
	large := strings.Repeat("x", 600)
	limits := map[string]enginetest.TopicLimits{"deeds_1min_final": {Bytes: 500}, "out": {Bytes: 500},
		"dead.letter.queue": {Bytes: 1400}}
	rows := []enginetest.Record{deedOf("a", large, 1), deedOf("b", "small", 2), deedOf("a", "", 64_000)}

	d := totals(t, enginetest.Options{Limits: limits}, func(*dsl.StreamOf[deed], *dsl.OutputOf[string, deed]) {})
	require.ErrorContains(t, d.TryRaw("deeds", rows...), "topic deeds_1min_final takes 500",
		"finals are not left out unless the plan says so")
	require.Empty(t, d.Partition("deeds_1min_final", 0))

	d = totals(t, enginetest.Options{Limits: limits},
		func(_ *dsl.StreamOf[deed], final *dsl.OutputOf[string, deed]) { final.OnError(dsl.DeadLetter) })
	d.AddRaw("deeds", rows...)
	require.Len(t, d.Partition("deeds_1min_final", 0), 1)
	l := d.DeadLetters()[0]
	require.Equal(t, []any{"too_large", "deeds_1min_final", int64(-1), "a\x00\x00\x00\x00\x00\x00\x00\x00"},
		[]any{l.Class, l.Topic, l.Offset, string(l.Key)})
	require.Contains(t, string(l.Value), large, "the row")

	limits["dead.letter.queue"] = enginetest.TopicLimits{Bytes: 900}
	d, _ = deeds(t, enginetest.Options{Limits: limits},
		func(_ *dsl.Builder, s, _ *dsl.StreamOf[deed]) { s.OnError(dsl.DeadLetter) })
	d.AddRaw("deeds", rows[0], rows[1], rows[2])
	require.Len(t, d.Partition("out", 0), 2)
	l = d.DeadLetters()[0]
	require.Equal(t, "too_large", l.Class)
	require.Nil(t, l.Value, "too large for a letter as well")
	require.Equal(t, len(rows[0].Value), l.Omitted)
	require.Equal(t, []byte("a"), l.Key)
	require.Len(t, l.Headers, 1)

	limits = map[string]enginetest.TopicLimits{"app--deeds-changelog": {Bytes: 400}}
	d = totals(t, enginetest.Options{Limits: limits}, func(*dsl.StreamOf[deed], *dsl.OutputOf[string, deed]) {})
	require.ErrorContains(t, d.TryRaw("deeds", rows[0]),
		"topic app--deeds-changelog takes 400 (max.message.bytes): give the topic settings with which it takes it",
		"state cannot be left out")
}

// What fails below an aggregate is its row, not the record that has closed the window.
func TestLetterOfARow(t *testing.T) {
	d := totals(t, enginetest.Options{}, func(s *dsl.StreamOf[deed], final *dsl.OutputOf[string, deed]) {
		s.OnError(dsl.DeadLetter)
		dsl.Map(final.ToStream(windows.Minutes(1)), act).To("out")
	})
	d.AddRaw("deeds", deedOf("a", "fail", 1), deedOf("b", "", 2), deedOf("c", "", 64_000))
	require.Len(t, d.DeadLetters(), 1)
	l := d.DeadLetters()[0]
	require.Equal(t, []any{"function", "deeds_1min_final", int64(-1), windows.Time(1)},
		[]any{l.Class, l.Topic, l.Offset, l.Timestamp})
	require.Equal(t, "a\x00\x00\x00\x00\x00\x00\x00\x00", string(l.Key))
	require.Equal(t, d.Partition("deeds_1min_final", 0)[0].Value, l.Value)
	require.Equal(t, "b", outOf(d))
}

// A step behind an internal topic has the policy of the source; its letters are about the internal
// topic's records.
func TestPolicyBehindAnInternalTopic(t *testing.T) {
	b := dsl.New("app")
	s := dsl.Stream[deed](b, "deeds").OnError(dsl.DeadLetter)
	dsl.Map(s.Repartition("spread", 1), act).To("out")
	plan, err := b.Build()
	require.NoError(t, err)
	d := enginetest.New(t, plan)
	d.AddRaw("deeds", deedOf("a", "", 1), deedOf("b", "fail", 2))
	l := d.DeadLetters()[0]
	require.Equal(t, []any{"app--spread", int64(1), "spread/0"}, []any{l.Topic, l.Offset, l.Task})
}

// nobody is a producer that nobody reads.
type nobody struct{}

func (nobody) Produce(context.Context, *task.Output) {}
func (nobody) Commit(context.Context) error          { return nil }
func (nobody) Close() error                          { return nil }

// In virtual time: a wait is as long as the policy says, ends with the context, and the record then
// counts as neither failed nor done.
func TestRetryWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := dsl.New("app")
		calls := 0
		dsl.Stream[deed](b, "deeds").Peek(func(*deed) error { calls++; return errors.New("again") }).
			OnError(dsl.Retry(2, 10*time.Second, nil).Then(dsl.Skip)).To("out")
		plan, err := b.Build()
		require.NoError(t, err)
		open := func(most time.Duration) (*task.Task, *task.Drops) {
			drops := new(task.Drops)
			x, err := task.New(task.Config{Sub: plan.Subs[0], Partitions: 1, Sinks: map[string]int32{"out": 1},
				Changelog: "log", Store: memory.New(), Producer: nobody{}, PartitionOf: murmur.Partition, Now: time.Now,
				Log: slog.New(slog.DiscardHandler), Drops: drops, CommitEvery: time.Hour, CommitBytes: 1 << 30,
				RetryTime: most})
			require.NoError(t, err)
			return x, drops
		}
		batch := &task.Batch{Topic: "deeds", Records: []task.Record{{Key: []byte("a"), Value: []byte(`{"name":"a"}`)}},
			Next: 1}

		x, drops := open(0)
		began := time.Now()
		require.NoError(t, x.Process(t.Context(), batch, func() {}))
		require.Equal(t, []any{30 * time.Second, 3, int64(1)}, []any{time.Since(began), calls,
			drops.Count(task.Failed)})

		x, drops = open(29 * time.Second)
		began = time.Now()
		require.NoError(t, x.Process(t.Context(), batch, func() {}))
		require.Equal(t, []any{10 * time.Second, 5, int64(1)}, []any{time.Since(began), calls,
			drops.Count(task.Failed)}, "the second wait would be too much")

		x, drops = open(0)
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		began = time.Now()
		require.ErrorIs(t, x.Process(ctx, batch, func() {}), context.DeadlineExceeded)
		require.Equal(t, []any{15 * time.Second, int64(0)}, []any{time.Since(began), drops.Count(task.Failed)})
		require.ErrorIs(t, x.Commit(t.Context()), context.DeadlineExceeded, "the record must be processed again")
	})
}

// Rows that cannot be made have the policy of the output that they are for; without one of their
// own the task ends.
func TestRowThatCannotBeMade(t *testing.T) {
	for name, w := range map[string]windows.Spec{"tumbling": windows.Minutes(1),
		"hopping": windows.Hopping(2*time.Minute, time.Minute), "session": windows.Session(30 * time.Second),
		"sliding": windows.Sliding(time.Second)} {
		t.Run(name, func(t *testing.T) {
			program := func(final, changes dsl.Policy) *enginetest.Driver {
				b := dsl.New("app")
				s := dsl.Stream[deed](b, "deeds")
				rows := dsl.Aggregate(dsl.GroupByKey[string](s), w, func(g dsl.Group[string, deed]) deed {
					does := aggregates.LatestByOffset(g, func(d *deed) string { return d.Does })
					if does == "fail" { // no made-up row of Build does
						panic("no row")
					}
					return deed{Name: g.Key(), Does: does}
				})
				if final != nil {
					rows.Final().OnError(final)
				}
				if changes != nil {
					rows.Changes().OnError(changes)
				}
				plan, err := b.Build()
				require.NoError(t, err)
				return enginetest.New(t, plan)
			}
			input := []enginetest.Record{deedOf("a", "fail", 600_000), deedOf("b", "", 600_000),
				deedOf("c", "", 1_200_000)}
			finals := "deeds_" + w.Kinds()[0].Name() + "_final"

			d := program(dsl.DeadLetter, dsl.Skip)
			d.AddRaw("deeds", input[0], input[1])
			require.EqualValues(t, len(d.Partition("deeds_"+w.Kinds()[0].Name()+"_window_raw", 0)), d.Dropped("failed"),
				"as many for a as for b")
			d.Crash()
			d.AddRaw("deeds", input[2])
			letters, rows := d.DeadLetters(), d.Partition(finals, 0)
			require.NotEmpty(t, rows)
			require.Len(t, letters, len(rows), "as many for a as for b")
			require.Equal(t, []any{"panic", finals, int64(-1), "a"}, []any{letters[0].Class, letters[0].Topic,
				letters[0].Offset, string(letters[0].Key)})
			require.Contains(t, letters[0].Text, `row of group "a", window from`)

			require.ErrorContains(t, program(dsl.Skip, dsl.Fail).TryRaw("deeds", input...),
				"user code panicked: no row")
			require.ErrorContains(t, program(dsl.Fail, nil).TryRaw("deeds", input...), "user code panicked: no row")
		})
	}
}
