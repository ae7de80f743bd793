package dsl_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/windows"
)

type listing struct {
	Pair  string `ashi:"pair,key=1"`
	Venue int64  `ashi:"venue,key=2"`
	Bid   int64  `ashi:"bid"`
}

type venueKey struct {
	Pair  string `ashi:"pair"`
	Venue int64  `ashi:"venue"`
}

// forms are one key as several programs write it.
var forms = []string{`{"pair":"EUR","venue":1}`, `{"pair": "EUR", "venue": 1}`, `{"venue":1,"pair":"EUR"}`,
	`{"PAIR":"EUR","VENUE":1}`, `{"pair":"\u0045UR","venue":1.0}`, "{\n\t\"Venue\" : 10e-1,\n\t\"Pair\" : \"EUR\"\n}\n"}

// One key is one row of a table, in whatever form it comes and over several partitions: a deletion
// in any other form finds it, and so does a join.
func TestOneKeyInManyForms(t *testing.T) {
	for name, partitions := range map[string]int32{"one partition": 1, "five": 5} {
		for framed, codec := range map[string]codecs.Codec[venueKey]{"": nil,
			" by KeyCodec": codecs.JSONKey[venueKey]()} {
			t.Run(name+framed, func(t *testing.T) {
				b := dsl.New("app")
				table := dsl.Table[venueKey, listing](b, "listings")
				s := dsl.Stream[listing](b, "s")
				if codec != nil {
					table.KeyCodec(codec)
					dsl.ReadKeys(s, codec)
				}
				dsl.JoinTable(s, table, func(l, r *listing) (listing, error) {
					return listing{l.Pair, l.Venue, r.Bid},
						nil
				}).To("out")
				plan, err := b.Build()
				require.NoError(t, err)
				d := enginetest.NewWith(t, plan, enginetest.Options{Partitions: partitions})
				for i, set := range forms {
					d.AddRaw("listings", enginetest.Record{Key: []byte(set), Value: fmt.Appendf(nil, `{"bid":%d}`, i)})
					require.Len(t, enginetest.Rows(d, table), 1, set)
					require.Equal(t, venueKey{"EUR", 1}, venueKey{enginetest.Rows(d, table)[0].Pair,
						enginetest.Rows(d, table)[0].Venue})
					for _, asked := range forms {
						d.AddRaw("s", enginetest.Record{Key: []byte(asked), Value: []byte(`{}`)})
						require.Len(t, d.ReadRaw("out"), 1, asked)
					}
					deletion := forms[(i+3)%len(forms)]
					d.AddRaw("listings", enginetest.Record{Key: []byte(deletion)})
					d.AddRaw("s", enginetest.Record{Key: []byte(set), Value: []byte(`{}`)})
					require.Empty(t, d.ReadRaw("out"), "deleted as %s", deletion)
					if partitions == 1 { // mirrors have no order over partitions
						require.Empty(t, enginetest.Rows(d, table), deletion)
					}
				}
				require.Zero(t, d.Dropped("undecodable"))
			})
		}
	}
}

// A group goes on whatever form its keys come in, and one that is no key costs its record alone.
func TestGroupsOfKeysInManyForms(t *testing.T) {
	b := dsl.New("app")
	s := dsl.Stream[listing](b, "s")
	all := dsl.Aggregate(dsl.GroupBy(s, func(l *listing) venueKey { return venueKey{l.Pair, l.Venue} }),
		windows.Unbounded(), func(g dsl.Group[venueKey, listing]) listing {
			return listing{g.Key().Pair, g.Key().Venue, aggregates.Count(g)}
		}).Changes()
	plan, err := b.Build()
	require.NoError(t, err)
	d := enginetest.NewWith(t, plan, enginetest.Options{Partitions: 5})
	for _, key := range forms {
		d.AddRaw("s", enginetest.Record{Key: []byte(key), Value: []byte(`{}`)})
		d.Crash()
	}
	hostile := []string{`{"pair":"EUR"}`, `{"pair":"EUR","venue":1,"x":1}`, `{"pair":"EUR","venue":1,"VENUE":2}`,
		`{"pair":"EUR","venue":1e999999999}`, `{"pair":"\ud800","venue":1}`, `[]`, ``, `null`,
		`{"pair":null,"venue":1}`, `{"pair":"EUR","venue":"1"}`, "{\"pair\":\"\xff\",\"venue\":1}",
		strings.Repeat(`{"pair":`, 100_000)}
	for _, key := range hostile {
		d.AddRaw("s", enginetest.Record{Key: []byte(key), Value: []byte(`{}`)})
	}
	require.EqualValues(t, len(hostile), d.Dropped("undecodable"))
	var last listing
	for _, r := range d.ReadRaw(all.StreamOf(windows.Unbounded()).Topic) {
		require.Equal(t, forms[0], string(r.Key), "what is written has the one form")
		require.NoError(t, codecs.JSON[listing]().Decode(r.Value, &last))
	}
	require.Equal(t, listing{"EUR", 1, int64(len(forms))}, last)
}

type stampedMs struct {
	ID string `ashi:"id,key"`
	T  int64  `ashi:"t,timestamp"`
}

type stampedUs struct {
	ID string `ashi:"id,key"`
	T  int64  `ashi:"t,timestamp,format=us"`
}

type stampedNs struct {
	ID string `ashi:"id,key"`
	T  *int64 `ashi:"t,timestamp,format=ns"`
}

type began struct {
	ID    string    `ashi:"id,key"`
	Start time.Time `ashi:"start,format=ms"`
	N     int64     `ashi:"n"`
}

func starts[T any](t *testing.T, codec codecs.Codec[T], id func(*T) string, value string) int64 {
	b := dsl.New("app")
	s := dsl.Stream[T](b, "s")
	if codec != nil {
		s.Codec(codec)
	}
	a := dsl.Aggregate(dsl.GroupBy(s, id), windows.Tumbling(time.Second), func(g dsl.Group[string, T]) began {
		return began{g.Key(), g.WindowStart(), aggregates.Count(g)}
	}).Changes()
	plan, err := b.Build()
	require.NoError(t, err)
	d := enginetest.New(t, plan)
	d.AddRaw("s", enginetest.Record{Key: []byte("a"), Value: []byte(value), Timestamp: 1764547260000})
	rows := enginetest.Read(d, a.Stream(time.Second))
	require.Len(t, rows, 1, value)
	return rows[0].Start.UnixMilli()
}

// An int64 event time that a record does not have is that of the Kafka record; one that it has
// counts in the unit of its format, 0 too.
func TestEventTimeOfNumbers(t *testing.T) {
	const record = 1764547260000
	for value, want := range map[string]int64{`{}`: record, `{"t":null}`: record, `{"t":5,"T":null}`: record,
		`{"t":0}`: 0, `{"t":1764547200000}`: 1764547200000, `{"T":1.7645472E12}`: 1764547200000,
		`{"t":null,"t":0.0}`: 0, `{"x":{"t":5}}`: record} {
		require.Equal(t, want, starts[stampedMs](t, nil, func(r *stampedMs) string { return r.ID }, value), value)
	}
	for value, want := range map[string]int64{`{}`: record, `{"t":0}`: 0, `{"t":1764547200000000}`: 1764547200000} {
		require.Equal(t, want, starts[stampedUs](t, nil, func(r *stampedUs) string { return r.ID }, value), value)
	}
	for value, want := range map[string]int64{`{}`: record, `{"t":null}`: record, `{"t":0}`: 0,
		`{"t":1764547200000000000}`: 1764547200000} {
		require.Equal(t, want, starts[stampedNs](t, nil, func(r *stampedNs) string { return r.ID }, value), value)
	}
	fixed := codecs.Fixed[stampedMs]()
	require.EqualValues(t, 0, starts(t, codecs.Codec[stampedMs](fixed), func(r *stampedMs) string { return r.ID },
		string(make([]byte, 8))), "Fixed always has it")
}

// The JSON null and a value without bytes delete rows of a table and are no rows of a stream, as
// Kafka's null.
func TestNullsOfJSON(t *testing.T) {
	for _, null := range []string{"null", "", " null\n", "\xef\xbb\xbf"} {
		b := dsl.New("app")
		table := dsl.Table[string, mark](b, "table")
		s := dsl.Stream[mark](b, "s")
		dsl.LeftJoinTable(s, table, func(l, r *mark) (mark, error) {
			if r == nil {
				return mark{l.ID, -1}, nil
			}
			return mark{l.ID, r.N}, nil
		}).To("out")
		plan, err := b.Build()
		require.NoError(t, err)
		d := enginetest.New(t, plan)
		d.AddRaw("table", enginetest.Record{Key: []byte("a"), Value: []byte(`{"n":5}`)})
		d.AddRaw("s", enginetest.Record{Key: []byte("a"), Value: []byte(`{}`)})
		require.Equal(t, `{"id":"a","n":5}`, string(d.ReadRaw("out")[0].Value))
		d.AddRaw("table", enginetest.Record{Key: []byte("a"), Value: []byte(null)})
		require.Empty(t, enginetest.Rows(d, table), "%q", null)
		d.AddRaw("s", enginetest.Record{Key: []byte("a"), Value: []byte(`{}`)})
		require.Equal(t, `{"id":"a","n":-1}`, string(d.ReadRaw("out")[0].Value))
		d.AddRaw("s", enginetest.Record{Key: []byte("a"), Value: []byte(null)})
		require.EqualValues(t, 1, d.Dropped("null_value"), "%q", null)
		require.Zero(t, d.Dropped("undecodable"))
	}
}
