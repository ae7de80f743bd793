package dsl_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// What can be asked of an output, and what is told to who asks for what there is not.
func TestOutputNames(t *testing.T) {
	b := dsl.New("fx")
	rates := dsl.Stream[Rate](b, "rates")
	bars := dsl.Aggregate(dsl.GroupByKey[string](rates), windows.Tumbling(250*time.Millisecond, 30*time.Second,
		15*time.Minute), bar)
	final, changes := bars.Final(), bars.Changes()
	require.Same(t, final, bars.Final(), "one output however often it is asked for")
	for size, want := range map[time.Duration]string{15 * time.Minute: "15min", 30 * time.Second: "30s",
		250 * time.Millisecond: "250ms"} {
		topic, err := final.Topic(size)
		require.NoError(t, err)
		require.Equal(t, "rates_"+want+"_final", topic)
		require.Equal(t, topic, final.Size(size).Table.Topic)
		require.Equal(t, "rates", final.Size(size).Table.Folder)
		require.Equal(t, "window_"+want, final.Size(size).Table.File)
		topic, err = changes.Topic(size)
		require.NoError(t, err)
		require.Equal(t, "rates_"+want+"_window_raw", topic)
		require.Equal(t, topic, changes.Stream(size).Topic)
	}
	const there = "there are 250ms, 30s, 15min"
	_, err := final.Topic(time.Hour)
	require.ErrorContains(t, err, there)
	require.ErrorContains(t, final.Size(time.Hour).Err, there)
	require.ErrorContains(t, changes.Stream(time.Hour).Err, there)
	require.ErrorContains(t, changes.Size(30*time.Second).Err, "there are tables of final rows")
	require.ErrorContains(t, rates.Filter(func(*Rate) (bool, error) { return true, nil }).StreamRef().Err,
		"rates-filter is not in a topic")
	final.Named(func(k windows.Kind) string { return "bars-" + k.Name() })
	plan, err := b.Build()
	require.NoError(t, err)
	require.Equal(t, "bars-30s", final.Size(30*time.Second).Table.Topic)
	require.Equal(t, []string{"bars-250ms", "bars-30s", "bars-15min"}, tablesOf(plan))
}

func tablesOf(p *topology.Plan) (topics []string) {
	for _, t := range p.Tables {
		topics = append(topics, t.Topic)
	}
	return topics
}

// A topic that a stream is written to has the key and event time of each row; two branches see the
// same rows.
func TestBranchesAndTo(t *testing.T) {
	b := dsl.New("fx")
	rates := dsl.Stream[Rate](b, "rates")
	var seen []string
	rates.Peek(func(r *Rate) error { seen = append(seen, r.Pair); return nil }).Filter(func(r *Rate) (bool,
		error) {
		return r.Bid > 1, nil
	}).To("high")
	doubled := dsl.Map(rates, func(r *Rate) (Rate, error) { d := *r; d.Bid *= 2; return d, nil })
	dsl.FlatMap(doubled, func(r *Rate) ([]Rate, error) { return []Rate{*r, *r}, nil }).To("twice")
	plan, err := b.Build()
	require.NoError(t, err)
	d := enginetest.New(t, plan)
	enginetest.Add(d, rates, tick("EUR/USD", 0, 1.5), tick("NZD/USD", 1, 0.5))
	require.Equal(t, []string{"EUR/USD", "NZD/USD"}, seen)
	high, twice := d.ReadRaw("high"), d.ReadRaw("twice")
	require.Len(t, high, 1)
	require.Equal(t, "EUR/USD", string(high[0].Key))
	require.Equal(t, noon.UnixMilli(), int64(high[0].Timestamp))
	require.JSONEq(t, `{"pair":"EUR/USD","bid":1.5,"ask":1.5001,"at":"2014-05-01T12:00:00Z"}`, string(high[0].Value))
	require.Len(t, twice, 4)
	require.Equal(t, "NZD/USD", string(twice[3].Key))
	require.Contains(t, string(twice[3].Value), `"bid":1,`)
	require.Equal(t, noon.UnixMilli()+1000, int64(twice[3].Timestamp))
}
