package dsl_test

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/engine/registry"
	"github.com/ashi-stream/ashi/engine/registry/registrytest"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

type quote struct {
	Pair string    `ashi:"pair,key"`
	Bid  float64   `ashi:"bid"`
	At   time.Time `ashi:"at,timestamp,format=ms"`
}

type quoteBar struct {
	Pair string  `ashi:"pair,key"`
	High float64 `ashi:"high"`
	N    int64   `ashi:"n"`
}

// quotes is a plan whose topics are all in the registry: values of Avro, keys of Avro where they come in and go out.
func quotes(t *testing.T, schemas topology.Schemas) (*topology.Plan, *dsl.StreamOf[quote], *dsl.OutputOf[string, quoteBar]) {
	b := dsl.New("app")
	in := dsl.ReadKeys(dsl.Stream[quote](b, "quotes").Codec(codecs.Registered(schemas, codecs.Avro[quote]())), codecs.Registered(schemas, codecs.AvroKey[string]()))
	bars := dsl.Aggregate(dsl.GroupBy(in, func(q *quote) string { return q.Pair }), windows.Minutes(1), func(g dsl.Group[string, quote]) quoteBar {
		return quoteBar{Pair: g.Key(), High: aggregates.Max(g, func(q *quote) float64 { return q.Bid }), N: aggregates.Count(g)}
	}).Codec(codecs.Registered(schemas, codecs.Avro[quoteBar]())).KeyCodec(codecs.Registered(schemas, codecs.AvroKey[string]()))
	final := bars.Final()
	plan, err := b.Build()
	require.NoError(t, err)
	return plan, in, final
}

// Keys and values of results have Confluent's frame, the window's start behind the key, as ksqlDB has it; they are read back by us.
func TestRegisteredTopics(t *testing.T) {
	r := registrytest.Start(t)
	schemas, err := registry.New(registry.Config{URLs: []string{r.URL}})
	require.NoError(t, err)
	plan, in, final := quotes(t, schemas)
	d := enginetest.NewWith(t, plan, enginetest.Options{Partitions: 3})
	_, version := r.Latest("quotes_1min_final-value")
	require.Equal(t, 1, version, "schemas are registered before anything is read")
	key, version := r.Latest("quotes_1min_final-key")
	require.Equal(t, 1, version)
	require.Equal(t, `"string"`, key.Text)

	start := time.UnixMilli(1700006400000).UTC()
	enginetest.Add(d, in, quote{"EURUSD", 1.5, start}, quote{"EURUSD", 1.25, start.Add(time.Second)}, quote{"GBPUSD", 2, start.Add(2 * time.Minute)},
		quote{"EURUSD", 1, start.Add(2 * time.Minute)})
	topic, err := final.Topic(time.Minute)
	require.NoError(t, err)
	records := d.ReadRaw(topic)
	require.Len(t, records, 1)
	require.Regexp(t, "^00000000..0c455552555344"+"0000018bd0471000$", hex.EncodeToString(records[0].Key))
	require.Regexp(t, "^00000000..0c455552555344000000000000f83f04$", hex.EncodeToString(records[0].Value))
	var bar quoteBar
	ref := final.Stream(time.Minute)
	group, w, ok := ref.Windows.CutKey(records[0].Key)
	require.True(t, ok)
	require.Equal(t, windows.At(start), w.Start)
	require.NoError(t, ref.Decode(group, records[0].Value, &bar))
	require.Equal(t, quoteBar{"EURUSD", 1.5, 2}, bar)
	looked, err := final.Size(time.Minute).Key(nil, "EURUSD")
	require.NoError(t, err)
	require.Equal(t, group, looked, "who looks a key up in the table writes it as the topic has it")
}

// All schemas that are refused are listed, each with its place.
func TestRefusedSchemas(t *testing.T) {
	r := registrytest.Start(t)
	schemas, err := registry.New(registry.Config{URLs: []string{r.URL}})
	require.NoError(t, err)
	r.Register("quotes_1min_final-value", topology.Schema{Format: topology.AvroSchema, Text: `{"type":"record","name":"quoteBar","fields":[{"name":"high","type":"string"}]}`})
	r.Register("quotes_1min_final-key", topology.Schema{Format: topology.AvroSchema, Text: `"int"`})
	plan, _, _ := quotes(t, schemas)
	require.Len(t, plan.Startups, 2)
	for _, s := range plan.Startups {
		require.Contains(t, s.Place, "keys_test.go:")
		require.ErrorContains(t, s.Do(t.Context()), "is not compatible")
	}
}

func TestKeyMistakes(t *testing.T) {
	b := dsl.New("app")
	in := dsl.Stream[quote](b, "quotes")
	below := in.Filter(func(*quote) (bool, error) { return true, nil })
	dsl.ReadKeys(in, codecs.JSONKey[string]())
	dsl.ReadKeys(below, codecs.JSONKey[string]())
	dsl.ReadKeys(in, codecs.AvroKey[[]string]())
	dsl.Aggregate(dsl.GroupBy(in, func(q *quote) string { return q.Pair }), windows.Minutes(1), func(g dsl.Group[string, quote]) quoteBar {
		return quoteBar{N: aggregates.Count(g)}
	}).KeyCodec(codecs.Registered(nil, codecs.AvroKey[string]()))
	_, err := b.Build()
	for _, want := range []string{"before the first step", "only a stream that was declared", "cannot be a key", "no registry"} {
		require.ErrorContains(t, err, want)
	}
}
