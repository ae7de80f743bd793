package dsl_test

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
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

// quotes is a plan whose topics are all in the registry: values of Avro, keys of Avro where they
// come in and go out.
func quotes(t *testing.T, schemas topology.Schemas) (*topology.Plan, *dsl.StreamOf[quote],
	*dsl.OutputOf[string, quoteBar]) {
	b := dsl.New("app")
	in := dsl.ReadKeys(dsl.Stream[quote](b, "quotes").Codec(codecs.Registered(schemas, codecs.Avro[quote]())),
		codecs.Registered(schemas, codecs.AvroKey[string]()))
	bars := dsl.Aggregate(dsl.GroupByKey[string](in), windows.Minutes(1), func(g dsl.Group[string, quote]) quoteBar {
		return quoteBar{Pair: g.Key(), High: aggregates.Max(g, func(q *quote) float64 { return q.Bid }),
			N: aggregates.Count(g)}
	}).Codec(codecs.Registered(schemas, codecs.Avro[quoteBar]())).KeyCodec(codecs.Registered(schemas,
		codecs.AvroKey[string]()))
	final := bars.Final()
	plan, err := b.Build()
	require.NoError(t, err)
	return plan, in, final
}

// Keys and values of results have Confluent's frame, the window's start behind the key, as ksqlDB
// has it; they are read back by us.
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
	enginetest.Add(d, in, quote{"EURUSD", 1.5, start}, quote{"EURUSD", 1.25, start.Add(time.Second)},
		quote{"GBPUSD", 2, start.Add(2 * time.Minute)}, quote{"EURUSD", 1, start.Add(2 * time.Minute)})
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
	r.Register("quotes_1min_final-value", topology.Schema{Format: topology.AvroSchema,
		Text: `{"type":"record","name":"quoteBar","fields":[{"name":"high","type":"string"}]}`})
	r.Register("quotes_1min_final-key", topology.Schema{Format: topology.AvroSchema, Text: `"int"`})
	plan, _, _ := quotes(t, schemas)
	require.Len(t, plan.Startups, 2)
	for _, s := range plan.Startups {
		require.Contains(t, s.Place, "keys_test.go:")
		require.ErrorContains(t, s.Do(t.Context()), "is not compatible")
	}
}

// Sinks of streams and of tables write keys in the format of WriteKeys: partitioned by it,
// deletions and rows without a key too.
func TestWriteKeys(t *testing.T) {
	r := registrytest.Start(t)
	schemas, err := registry.New(registry.Config{URLs: []string{r.URL}})
	require.NoError(t, err)
	b := dsl.New("app")
	in := dsl.Stream[quote](b, "quotes")
	dsl.WriteKeys(in.To("framed"), codecs.Registered(schemas, codecs.AvroKey[string]()))
	last := dsl.Table[string, quote](b, "last")
	dsl.WriteKeys(last.To("lasts"), codecs.JSONKey[string]())
	plan, err := b.Build()
	require.NoError(t, err)
	d := enginetest.NewWith(t, plan, enginetest.Options{Partitions: 3})
	key, version := r.Latest("framed-key")
	require.Equal(t, 1, version, "schemas are registered before anything is read")
	require.Equal(t, `"string"`, key.Text)

	at := time.UnixMilli(1700006400000).UTC()
	enginetest.Add(d, in, quote{"EURUSD", 1.5, at})
	d.AddRaw("quotes", enginetest.Record{Value: []byte(`{"pair":"","bid":2,"at":1700006400000}`),
		Timestamp: windows.At(at)})
	d.AddRaw("quotes", enginetest.Record{Key: []byte{0xff}, Value: []byte(`{"bid":2,"at":1700006400000}`),
		Timestamp: windows.At(at)})
	records := d.ReadRaw("framed")
	require.Len(t, records, 2, "a key that is no text is an error of its record")
	var keys []string
	for _, rec := range records {
		keys = append(keys, hex.EncodeToString(rec.Key))
	}
	require.Contains(t, keys, "")
	require.Regexp(t, "^00000000..0c455552555344$", strings.Join(keys, ""))

	enginetest.Add(d, last, quote{"EURUSD", 1.5, at})
	d.AddRaw("last", enginetest.Record{Key: []byte("EURUSD"), Timestamp: windows.At(at)})
	records = d.ReadRaw("lasts")
	require.Len(t, records, 2)
	require.Equal(t, []string{`"EURUSD"`, `"EURUSD"`}, []string{string(records[0].Key), string(records[1].Key)})
	require.Nil(t, records[1].Value)
}

// What is read with ReadKeys is partitioned by other bytes: whatever needs the rows of a key
// together has them by way of an internal topic.
func TestReadKeysIsPartitionedOtherwise(t *testing.T) {
	type pair struct {
		Pair      string
		Bid, Last float64
	}
	b := dsl.New("app")
	framed := dsl.ReadKeys(dsl.Stream[quote](b, "framed"), codecs.JSONKey[string]())
	in := dsl.Stream[quote](b, "quotes")
	dsl.JoinTable(in, dsl.ToTable[string](framed), func(q, last *quote) (pair, error) {
		return pair{q.Pair, q.Bid,
			last.Bid}, nil
	}).To("out")
	plan, err := b.Build()
	require.NoError(t, err)
	require.Len(t, plan.Internal, 1)
	d := enginetest.NewWith(t, plan, enginetest.Options{Partitions: 3})
	at := time.UnixMilli(1700006400000).UTC()
	pairs := []string{"EURUSD", "GBPUSD", "USDJPY", "AUDUSD", "NZDUSD"}
	for i, p := range pairs {
		enginetest.Add(d, framed, quote{p, float64(i), at})
	}
	for i, p := range pairs {
		enginetest.Add(d, in, quote{p, float64(10 + i), at.Add(time.Minute)})
	}
	require.Len(t, d.ReadRaw("out"), len(pairs))
}

// A declared table with keys in another format is read by its plain keys, in mirrors and in joins:
// deletions too, and keys that were framed twice.
func TestTableKeyCodec(t *testing.T) {
	type pair struct {
		Pair      string
		Bid, Last float64
	}
	r := registrytest.Start(t)
	schemas, err := registry.New(registry.Config{URLs: []string{r.URL}})
	require.NoError(t, err)
	b := dsl.New("app")
	last := dsl.Table[string, quote](b, "last").KeyCodec(codecs.Registered(schemas, codecs.AvroKey[string]()))
	in := dsl.Stream[quote](b, "quotes")
	dsl.JoinTable(in, last, func(q, last *quote) (pair, error) { return pair{q.Pair, q.Bid, last.Bid}, nil }).To("out")
	plan, err := b.Build()
	require.NoError(t, err)
	require.Len(t, plan.Internal, 1)
	d := enginetest.NewWith(t, plan, enginetest.Options{Partitions: 3})
	at := time.UnixMilli(1700006400000).UTC()
	pairs := []string{"EURUSD", "GBPUSD", "USDJPY", "AUDUSD", "NZDUSD"}
	for i, p := range pairs {
		enginetest.Add(d, last, quote{p, float64(i), at})
	}
	java := r.Register("last-key", topology.Schema{Format: topology.AvroSchema,
		Text: `{"type":"string","avro.java.string":"String"}`})
	framed := func(key string) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(java)), append([]byte{byte(2 * len(key))},
			key...)...)
	}
	later := at.Add(time.Second)
	d.AddRaw("last", enginetest.Record{Key: framed("USDJPY"), Timestamp: windows.At(later)}, // deleted
		enginetest.Record{Key: framed("NZDUSD"), Value: []byte(`{"bid":9}`), Timestamp: windows.At(later)},
		enginetest.Record{Key: []byte("AUDUSD"), Timestamp: windows.At(later)}) // no frame: undecodable
	for _, p := range pairs {
		enginetest.Add(d, in, quote{p, 1, at.Add(time.Minute)})
	}
	var joined []string
	for _, rec := range d.ReadRaw("out") {
		joined = append(joined, string(rec.Key)+" "+string(rec.Value[strings.Index(string(rec.Value), `"Last"`):]))
	}
	require.ElementsMatch(t, []string{`EURUSD "Last":0}`, `GBPUSD "Last":1}`, `AUDUSD "Last":3}`, `NZDUSD "Last":9}`},
		joined)
	require.EqualValues(t, 1, d.Dropped("undecodable"))
	var bids []float64
	for _, q := range enginetest.Rows(d, last) {
		bids = append(bids, q.Bid)
	}
	require.ElementsMatch(t, []float64{0, 1, 3, 9}, bids)
}

func TestKeyMistakes(t *testing.T) {
	b := dsl.New("app")
	in := dsl.Stream[quote](b, "quotes")
	below := in.Filter(func(*quote) (bool, error) { return true, nil })
	dsl.ReadKeys(in, codecs.JSONKey[string]())
	dsl.ReadKeys(below, codecs.JSONKey[string]())
	dsl.ReadKeys(in, codecs.AvroKey[[]string]())
	dsl.Aggregate(dsl.GroupByKey[string](in), windows.Minutes(1), func(g dsl.Group[string, quote]) quoteBar {
		return quoteBar{N: aggregates.Count(g)}
	}).KeyCodec(codecs.Registered(nil, codecs.AvroKey[string]()))
	dsl.WriteKeys(in.To("a"), codecs.AvroKey[[]string]())
	dsl.WriteKeys(in.To("b"), codecs.Registered(nil, codecs.AvroKey[string]()))
	dsl.WriteKeys(dsl.PartitionBy(in, func(q *quote) int64 { return 1 }).To("c"), codecs.JSONKey[string]())
	used := dsl.Table[string, quote](b, "used")
	used.To("d")
	used.KeyCodec(codecs.JSONKey[string]())
	dsl.Table[string, quote](b, "unregistered").KeyCodec(codecs.Registered(nil, codecs.AvroKey[string]()))
	dsl.ToTable[string](in).KeyCodec(codecs.JSONKey[string]())
	_, err := b.Build()
	for _, want := range []string{"KeyCodec: call it before the first step", "KeyCodec: codecs: no registry",
		"KeyCodec: only a table that was declared", "WriteKeys: entity: []string cannot be a key",
		"WriteKeys: codecs: no registry",
		"WriteKeys: keys of type string are text, those of the rows are 8 bytes, a whole number",
		"before the first step", "only a stream that was declared", "cannot be a key", "no registry"} {
		require.ErrorContains(t, err, want)
	}
}
