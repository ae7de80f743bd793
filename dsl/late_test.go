package dsl_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/windows"
)

func TestLateTopic(t *testing.T) {
	b := dsl.New("fx")
	rates := dsl.Stream[Rate](b, "rates")
	dsl.Aggregate(dsl.GroupByKey[string](rates), windows.Minutes(1, 5), bar).LateTo("rates_late").Final()
	plan, err := b.Build()
	require.NoError(t, err)
	d := enginetest.New(t, plan)
	enginetest.Add(d, rates, at("A", 310_000), at("A", 60_000), at("A", 310_001))
	enginetest.Add(d, rates, at("B", 0))
	late := d.ReadRaw("rates_late")
	require.Len(t, late, 2, "each once, though both of its windows are closed")
	require.Equal(t, "A", string(late[0].Key))
	require.Contains(t, string(late[0].Value), `"at":"1970-01-01T00:01:00Z"`, "as it came")
	require.EqualValues(t, 60_000, late[0].Timestamp)
	require.EqualValues(t, 4, d.Dropped("late"), "once per window")
}

// A record that a flatmap splits is passed on once.
func TestLateTopicOfFlatMap(t *testing.T) {
	b := dsl.New("fx")
	twice := dsl.FlatMap(dsl.Stream[Rate](b, "rates"), func(r *Rate) ([]Rate, error) { return []Rate{*r, *r}, nil })
	dsl.Aggregate(dsl.GroupByKey[string](twice), windows.Minutes(1), bar).LateTo("rates_late").Final()
	plan, err := b.Build()
	require.NoError(t, err)
	d := enginetest.New(t, plan)
	d.AddRaw("rates", enginetest.Record{Key: []byte("A"), Value: []byte(`{"bid":1,"at":"1970-01-01T01:00:00Z"}`)},
		enginetest.Record{Key: []byte("A"), Value: []byte(`{"bid":1,"at":"1970-01-01T00:00:00Z"}`)})
	require.Len(t, d.ReadRaw("rates_late"), 1)
	require.EqualValues(t, 2, d.Dropped("late"), "its rows are counted")
}

// A quiet partition's windows close by the clock, and stay closed for a successor.
func TestCloseIdle(t *testing.T) {
	b := dsl.New("fx")
	rates := dsl.Stream[Rate](b, "rates")
	final := dsl.Aggregate(dsl.GroupByKey[string](rates), windows.Minutes(1, 5).CloseIdle(10*time.Second), bar).Final()
	plan, err := b.Build()
	require.NoError(t, err)
	d := enginetest.New(t, plan)
	enginetest.Add(d, rates, at("A", 30_000))
	d.Advance(9 * time.Second)
	d.Advance(23 * time.Second)
	require.Empty(t, enginetest.Rows(d, final.Size(time.Minute)), "stream time is at 62 s by the clock: in grace")
	d.Advance(time.Second)
	require.Len(t, enginetest.Rows(d, final.Size(time.Minute)), 1)
	require.Empty(t, enginetest.Rows(d, final.Size(5*time.Minute)), "the longer window goes on")
	d.Crash()
	enginetest.Add(d, rates, at("A", 31_000), at("A", 63_500))
	require.EqualValues(t, 1, d.Dropped("late"), "closed stays closed")
	d.Advance(4 * time.Minute)
	require.Len(t, enginetest.Rows(d, final.Size(time.Minute)), 2)
	require.EqualValues(t, 3, enginetest.Rows(d, final.Size(5*time.Minute))[0].Ticks)
	require.ErrorContains(t, windows.Minutes(1).CloseIdle(0).Validate(), "idle time 0s")
}

// Stream time stays where the clock closes nothing: the session of A has grown beyond what it is
// at, so B is not late.
func TestCloseIdleWithoutAnythingToClose(t *testing.T) {
	b := dsl.New("fx")
	rates := dsl.Stream[Rate](b, "rates")
	gap := windows.Session(30 * time.Second).CloseIdle(10 * time.Second)
	final := dsl.Aggregate(dsl.GroupByKey[string](rates), gap, bar).Final()
	plan, err := b.Build()
	require.NoError(t, err)
	d := enginetest.New(t, plan)
	enginetest.Add(d, rates, at("A", 0), at("A", 20_000))
	d.Advance(15 * time.Second)
	enginetest.Add(d, rates, at("B", 1000))
	require.Zero(t, d.Dropped("late"))
	d.Advance(35 * time.Second)
	require.Len(t, enginetest.Rows(d, final.Of(gap)), 2)
}
