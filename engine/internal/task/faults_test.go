package task_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/stores/storetest"
	"github.com/ashi-stream/ashi/windows"
)

var errDisk = errors.New("disk on fire")

// A call of the store that fails ends the task with the error, wherever it is; opened again the
// task gives the results of the oracle.
func TestStoreFaults(t *testing.T) {
	for name, call := range map[string]storetest.Call{"get": storetest.CallGet, "write": storetest.CallWrite,
		"scan": storetest.CallScan} {
		for _, n := range []int{1, 2, 3, 5, 10, 20} {
			t.Run(fmt.Sprintf("%s %d", name, n), func(t *testing.T) { checkFault(t, call, n) })
		}
	}
}

func checkFault(t *testing.T, call storetest.Call, n int) {
	r := rand.New(rand.NewPCG(uint64(n), uint64(call)))
	p := &program{kinds: []form{tumbling(7), tumbling(50), {what: "hopping", size: 50, advance: 20}}, grace: 10,
		finals: true, changes: n%2 == 0, group: "key", parts: mergeable(parts())[:20]}
	in := randomStream(t, r, p, 200)
	o := newOracle(p, in)
	built := p.build(t)
	store, err := storetest.NewFaulty(memory.New())
	require.NoError(t, err)
	d := enginetest.NewWith(t, built.plan, enginetest.Options{Start: in.clock, Ahead: in.ahead, Batch: 10,
		CommitBatches: 2, Memory: 1, KeepStores: true, Store: func(string, int32) (stores.Store, error) {
			return store,
				nil
		}})
	store.Fail(call, n, errDisk)
	failed := 0
	for at := 0; at < len(in.records); at += 10 {
		var added []enginetest.Record
		for i := range in.records[at : at+10] {
			o.record(0, &in.records[at+i])
			added = append(added, in.records[at+i].Record)
		}
		if err := d.TryRaw("in", added...); err != nil {
			require.ErrorIs(t, err, errDisk)
			failed++
			d.Crash()
		}
	}
	d.Commit()
	require.Equal(t, 1, failed, "the fault was met")
	o.compare(t, d, built, 1)
}

// quote is one row; its Bid decides what the functions below do.
type quote struct {
	Pair string `ashi:"pair,key"`
	Bid  float64
}

// quotes is a program with a projection and a group key of the test's.
func quotes(t *testing.T, o enginetest.Options, group func(*dsl.StreamOf[quote]) *dsl.GroupedOf[string, quote],
	project func(dsl.Group[string, quote]) quote) *enginetest.Driver {
	b := dsl.New("quotes")
	dsl.Aggregate(group(dsl.Stream[quote](b, "quotes").Codec(codecs.Fixed[quote]())), windows.Minutes(1),
		project).Final()
	plan, err := b.Build()
	require.NoError(t, err)
	return enginetest.NewWith(t, plan, o)
}

func quoteOf(t *testing.T, pair string, bid float64, at windows.Time) enginetest.Record {
	value, err := codecs.Fixed[quote]().Encode(nil, &quote{pair, bid})
	require.NoError(t, err)
	return enginetest.Record{Key: []byte(pair), Value: value, Timestamp: at}
}

func pairOfQuote(s *dsl.StreamOf[quote]) *dsl.GroupedOf[string, quote] {
	return dsl.GroupByKey[string](s)
}

func high(g dsl.Group[string, quote]) quote {
	return quote{g.Key(), aggregates.Max(g, func(q *quote) float64 { return q.Bid })}
}

// badBid is one that no made-up row of Build has.
const badBid = 2.25

// A projection has no record that could be dropped in its place: where it fails the task ends and
// says what and where.
func TestProjectionThatFails(t *testing.T) {
	for what, project := range map[string]func(dsl.Group[string, quote]) quote{
		"user code panicked: too high": func(g dsl.Group[string, quote]) quote {
			if row := high(g); row.Bid != badBid {
				return row
			}
			panic("too high")
		},
		aggregates.ErrUnstable.Error(): func(g dsl.Group[string, quote]) quote {
			row := high(g)
			if row.Bid == badBid {
				row.Bid += float64(aggregates.Count(g))
			}
			return row
		},
	} {
		d := quotes(t, enginetest.Options{}, pairOfQuote, project)
		d.AddRaw("quotes", quoteOf(t, "EUR", 1, 0), quoteOf(t, "EUR", 1, 63_000), quoteOf(t, "EUR", badBid, 64_000))
		require.Len(t, d.Partition("quotes_1min_final", 0), 1)
		err := d.TryRaw("quotes", quoteOf(t, "EUR", 1, 123_000))
		require.ErrorContains(t, err, what)
		for _, where := range []string{"offset 3 of quotes/0", "aggregate quotes-aggregate", `group "EUR"`,
			"1970-01-01T00:01:00.000Z"} {
			require.ErrorContains(t, err, where)
		}
		require.Len(t, d.Partition("quotes_1min_final", 0), 1)
	}
}

// A final row that its codec refuses ends the task too: dropped, it would be lost for good.
func TestFinalThatCannotBeEncoded(t *testing.T) {
	d := quotes(t, enginetest.Options{}, pairOfQuote, high)
	notText := quoteOf(t, "EUR", 1, 0)
	notText.Key = []byte("\xff")
	d.AddRaw("quotes", notText)
	err := d.TryRaw("quotes", quoteOf(t, "EUR", 1, 63_000))
	require.ErrorContains(t, err, "row with key")
	require.ErrorContains(t, err, "UTF-8")
	require.Zero(t, d.Dropped("failed"))
}

// A correlation of one row is not a number, and its final row is put out all the same.
func TestFinalWithoutANumber(t *testing.T) {
	d := quotes(t, enginetest.Options{}, pairOfQuote, func(g dsl.Group[string, quote]) quote {
		bid := func(q *quote) float64 { return q.Bid }
		return quote{Pair: g.Key(), Bid: aggregates.Correlation(g, bid, bid)}
	})
	d.AddRaw("quotes", quoteOf(t, "EUR", 1, 0), quoteOf(t, "EUR", 1, 63_000))
	final := d.Partition("quotes_1min_final", 0)
	require.Len(t, final, 1)
	require.Contains(t, string(final[0].Value), `"NaN"`)
}

// A group that belongs to another partition would be two groups. A plan that assumes that none does
// may be wrong for a record: its policy decides, and the record leaves no trace in the aggregate,
// whose stream time is that of the others.
func TestGroupElsewhere(t *testing.T) {
	program := func(policy dsl.Policy) *enginetest.Driver {
		b := dsl.New("quotes")
		s := dsl.Stream[quote](b, "quotes").Codec(codecs.Fixed[quote]()).OnError(policy)
		named := func(q *quote) string {
			if q.Bid < 0 {
				return q.Pair + "?"
			}
			return q.Pair
		}
		dsl.Aggregate(dsl.GroupBy(s, named).AssumeCopartitioned(), windows.Minutes(1), high).Final()
		plan, err := b.Build()
		require.NoError(t, err)
		return enginetest.NewWith(t, plan, enginetest.Options{Partitions: 8})
	}
	rows := []enginetest.Record{quoteOf(t, "EUR", 1, 0), quoteOf(t, "EUR", -1, 600_000), quoteOf(t, "EUR", 3, 1000),
		quoteOf(t, "EUR", 1, 70_000)}

	err := program(dsl.Fail).TryRaw("quotes", rows...)
	for _, part := range []string{`group "EUR?"`, `key "EUR"`, "belongs to partition", "PartitionBy or Repartition"} {
		require.ErrorContains(t, err, part)
	}
	for _, policy := range []dsl.Policy{dsl.Skip, dsl.DeadLetter} {
		d := program(policy)
		d.AddRaw("quotes", rows...)
		if policy == dsl.Skip {
			require.EqualValues(t, 1, d.Dropped("misplaced"))
		} else {
			letters := d.DeadLetters()
			require.Len(t, letters, 1)
			require.Equal(t, "misplaced", letters[0].Class)
		}
		finals := d.ReadRaw("quotes_1min_final")
		require.Len(t, finals, 1)
		require.Contains(t, string(finals[0].Value), `"Bid":3`)
	}
}

// Where rows got another key before, that a group is the record's key says nothing about its
// partition.
func TestGroupOfAnotherKeyElsewhere(t *testing.T) {
	b := dsl.New("quotes")
	moved := dsl.PartitionBy(dsl.Stream[quote](b, "quotes").Codec(codecs.Fixed[quote]()),
		func(*quote) string { return "all" })
	dsl.Aggregate(dsl.GroupByKey[string](moved).AssumeCopartitioned(), windows.Minutes(1), high).Final()
	plan, err := b.Build()
	require.NoError(t, err)
	d := enginetest.NewWith(t, plan, enginetest.Options{Partitions: 8})
	for i := range 20 {
		d.AddRaw("quotes", quoteOf(t, fmt.Sprint(i), 1, 0))
	}
	require.Positive(t, d.Dropped("misplaced"))
}

// A record whose key is none of the group's type is dropped where it is grouped. Found out when the
// row is emitted it would end the task.
func TestGroupByAKeyOfAnotherType(t *testing.T) {
	type count struct {
		N int64
	}
	type keyless struct {
		Bid float64
	}
	b := dsl.New("quotes")
	s := dsl.Stream[keyless](b, "quotes")
	dsl.Aggregate(dsl.GroupByKey[int64](s), windows.Minutes(1),
		func(g dsl.Group[int64, keyless]) count { return count{aggregates.Count(g)} }).Final()
	plan, err := b.Build()
	require.NoError(t, err)
	d := enginetest.New(t, plan)
	row := func(key string, at windows.Time) enginetest.Record {
		return enginetest.Record{Key: []byte(key), Value: []byte(`{"Bid":1}`), Timestamp: at}
	}
	d.AddRaw("quotes", row("12345678", 0), row("text", 0), row("", 1), row("12345678", 100_000))
	require.EqualValues(t, 2, d.Dropped("failed"))
	require.Len(t, d.ReadRaw("quotes_1min_final"), 1)
}

// blank encodes rows as nothing, as Protobuf does with a message of zeroes.
type blank struct{ codecs.Codec[quote] }

func (blank) Name() string { return "blank" }
func (blank) Encode(dst []byte, _ *quote) ([]byte, error) {
	return append(make([]byte, 0, len(dst)), dst...), nil
}

// An empty value is a value and no tombstone, also as the first output of all.
func TestEmptyValue(t *testing.T) {
	b := dsl.New("names")
	dsl.Stream[quote](b, "quotes").Codec(codecs.Fixed[quote]()).To("names").Codec(blank{})
	plan, err := b.Build()
	require.NoError(t, err)
	d := enginetest.New(t, plan)
	d.AddRaw("quotes", quoteOf(t, "", 1, 0), quoteOf(t, "EUR", 1, 0))
	got := d.Partition("names", 0)
	require.Equal(t, []enginetest.Record{{Key: []byte{}, Value: []byte{}}, {Key: []byte("EUR"), Value: []byte{}}}, got)
	require.NotNil(t, got[0].Key)
	require.NotNil(t, got[0].Value)
}

// Releases are called when what they stand for is committed, in order; a commit that fails releases
// nothing.
func TestReleases(t *testing.T) {
	p := &discard{}
	tk := openTask(t, sevenPlan(t, windows.Minutes(1)), memory.New(), p)
	batches := tickBatches(3)
	var released []int
	for i := range batches {
		require.NoError(t, tk.Process(t.Context(), &batches[i], func() { released = append(released, i) }))
	}
	require.Empty(t, released)
	require.ErrorContains(t, tk.Checkpoint(), "before its commit")
	require.NoError(t, tk.Commit(t.Context()))
	require.Equal(t, []int{0, 1, 2}, released)
	require.NoError(t, tk.Checkpoint())
	require.Equal(t, map[string]int64{"ticks": 3000}, tk.Positions())
	outputs := p.outputs
	require.NoError(t, tk.Commit(t.Context()))
	require.Equal(t, outputs, p.outputs, "nothing to commit")

	refused := openTask(t, sevenPlan(t, windows.Minutes(1)), memory.New(), refusing{})
	require.NoError(t, refused.Process(t.Context(), &batches[0], func() { released = append(released, 9) }))
	require.ErrorIs(t, refused.Commit(t.Context()), task.ErrFenced)
	require.Len(t, released, 3)
}

// refusing is a producer that another owner has fenced.
type refusing struct{}

func (refusing) Produce(context.Context, *task.Output) {}
func (refusing) Commit(context.Context) error          { return task.ErrFenced }
func (refusing) Close() error                          { return nil }
