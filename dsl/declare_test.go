package dsl_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/engine/registry"
	"github.com/ashi-stream/ashi/engine/registry/registrytest"
	"github.com/ashi-stream/ashi/windows"
)

// filling is keyed by its id, and in one topic by its pair.
type filling struct {
	_      struct{}  `ashi:"topic=fills"`
	ID     string    `ashi:"id,key"`
	Pair   string    `ashi:"pair,maxlen=7"`
	Amount int64     `ashi:"amount"`
	Sent   time.Time `ashi:"sent,timestamp"`
	Done   time.Time `ashi:"done"`
}

type fillCount struct {
	Pair string `ashi:"pair,key"`
	N    int64  `ashi:"n"`
}

// What a program says about a source outdoes the tags, in everything that reads or writes the topic
// (ENT-1), and can be looked up (ENT-7).
func TestOverrides(t *testing.T) {
	b := dsl.New("overrides")
	byPair := dsl.Stream[filling](b, "fills-by-pair").Key("pair").Timestamp("done")
	byID := dsl.Stream[filling](b)
	totals := dsl.Aggregate(dsl.GroupByKey[string](byPair), windows.Tumbling(time.Minute),
		func(g dsl.Group[string, filling]) fillCount {
			return fillCount{g.Key(), aggregates.Count(g)}
		}).Final()
	dsl.Map(byID, func(f *filling) (filling, error) { return *f, nil }).To("copies")
	b.DeadLetters("dead")
	plan, err := b.Build()
	require.NoError(t, err)
	require.Len(t, plan.Subs, 2)
	require.Empty(t, plan.Internal, "the stream is keyed by pair as it is")

	require.Equal(t, "fills-by-pair", byPair.Topic())
	require.Equal(t, "fills", byID.Topic())
	require.Equal(t, []int{1}, byPair.Model().Key)
	require.Equal(t, []int{0}, byID.Model().Key)
	require.Empty(t, dsl.Map(byID, func(f *filling) (filling, error) { return *f, nil }).Topic())
	require.Equal(t, "dead", plan.DeadLetters)
	topic, err := totals.Topic(time.Minute)
	require.NoError(t, err)
	require.Equal(t, "fills-by-pair_1min_final", topic)

	d := enginetest.New(t, plan)
	minute := func(n int) time.Time { return time.Date(2026, 1, 2, 3, n, 0, 0, time.UTC) }
	for i := range 3 {
		enginetest.Add(d, byPair, filling{ID: "x", Pair: "EUR/USD", Sent: minute(0), Done: minute(5 * i)})
	}
	require.Equal(t, []fillCount{{"EUR/USD", 1}, {"EUR/USD", 1}}, enginetest.Read(d, totals.Stream(time.Minute)),
		"event time is that of Done")
	enginetest.Add(d, byID, filling{ID: "x", Pair: "EUR/USD", Sent: minute(0)})
	require.Equal(t, "x", string(d.ReadRaw("copies")[0].Key))
}

type untagged struct {
	ID   string
	Name string
}

// A type without tags makes a table once Key is called. The key by which it is read must be that of
// its rows.
func TestTableKeys(t *testing.T) {
	b := dsl.New("tables")
	table := dsl.Table[string, untagged](b, "names").Key("ID")
	_, err := b.Build()
	require.NoError(t, err)
	require.Equal(t, []int{0}, table.Model().Key)
	require.Equal(t, "names", table.Topic())

	for want, declare := range map[string]func(*dsl.Builder){
		`table "names": dsl_test.untagged has no key column: a table must have a key`: func(
			b *dsl.Builder) {
			dsl.Table[string, untagged](b, "names")
		},
		`Key: entity: dsl_test.untagged has no column "id"; did you mean "ID"?`: func(
			b *dsl.Builder) {
			dsl.Table[string, untagged](b, "names").Key("id")
		},
		`table "names": it is read by keys that are 8 bytes, a whole number, but those of dsl_test.untagged are text`: func(b *dsl.Builder) {
			dsl.Table[int64, untagged](b, "names").Key("ID")
		},
		`Key: call it right after Stream: fills has steps below it already`: func(b *dsl.Builder) {
			s := dsl.Stream[filling](b)
			s.To("copies")
			s.Key("pair")
		},
		`Timestamp: only a stream that was declared with Stream has columns in a topic`: func(b *dsl.Builder) {
			dsl.Map(dsl.Stream[filling](b), func(f *filling) (filling, error) { return *f, nil }).Timestamp("done").To(
				"copies")
		},
		`stream "fills": codec fixed leaves column "id" out of values, as its tag says key: name it in Key too, or use another codec`: func(b *dsl.Builder) {
			dsl.Stream[filling](b).Key("pair").Codec(codecs.Fixed[filling]()).To("copies")
		},
	} {
		b := dsl.New("wrong")
		declare(b)
		_, err := b.Build()
		require.ErrorContains(t, err, want)
	}
}

type remark struct {
	_    struct{} `ashi:"topic=remarks,relaxed"`
	ID   string   `ashi:"id,key"`
	Text string   `ashi:"text,maxlen=3"`
}

// Strict is an error of the record, where it comes in and where it goes out; relaxed cuts, and the
// plan tells how often.
func TestStrictAndRelaxed(t *testing.T) {
	b := dsl.New("strict")
	in := dsl.Stream[filling](b).OnError(dsl.DeadLetter)
	dsl.Map(in, func(f *filling) (filling, error) { f2 := *f; f2.Pair += "!"; return f2, nil }).To("out")
	plan, err := b.Build()
	require.NoError(t, err)
	require.Empty(t, plan.Adjusters)
	d := enginetest.New(t, plan)
	for _, pair := range []string{"EURO/USD", "EUR/USD"} {
		d.AddRaw("fills", enginetest.Record{Key: []byte("x"), Value: []byte(`{"pair":"` + pair + `"}`)})
	}
	letters := d.DeadLetters()
	require.Len(t, letters, 2)
	require.Equal(t, []string{"decode", "encode"}, []string{letters[0].Class, letters[1].Class})
	require.Contains(t, letters[1].Text, `column "pair" has 8 characters, at most 7 are allowed`)

	b = dsl.New("relaxed")
	codec := codecs.JSON[remark]()
	remarks := dsl.Stream[remark](b).Codec(codec)
	dsl.Map(remarks, func(r *remark) (remark, error) {
		return remark{ID: r.ID, Text: r.Text + "!"},
			nil
	}).To("out").Codec(codec)
	plan, err = b.Build()
	require.NoError(t, err)
	require.Len(t, plan.Adjusters, 1, "one codec, however often it is used")
	d = enginetest.New(t, plan)
	enginetest.Add(d, remarks, remark{ID: "x", Text: "abcd"})
	require.JSONEq(t, `{"id":"x","text":"abc"}`, string(d.ReadRaw("out")[0].Value))
	require.Equal(t, map[string]int64{"text": 2}, plan.Adjusters[0].Adjusted(), "by Add, and where it goes out")

	b = dsl.New("registered")
	schemas, err := registry.New(registry.Config{URLs: []string{registrytest.Start(t).URL}})
	require.NoError(t, err)
	framed := codecs.Registered(schemas, codecs.Avro[remark]())
	remarks = dsl.Stream[remark](b).Codec(framed)
	remarks.To("out").Codec(framed)
	plan, err = b.Build()
	require.NoError(t, err)
	require.Len(t, plan.Adjusters, 1, "each topic has its frame, but they share the codec")
	d = enginetest.New(t, plan)
	enginetest.Add(d, remarks, remark{ID: "x", Text: "abcd"})
	require.Len(t, d.ReadRaw("out"), 1)
	require.Equal(t, map[string]int64{"text": 1}, plan.Adjusters[0].Adjusted())
}
