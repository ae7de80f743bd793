package task_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

type sale struct {
	Shop  string `ashi:"shop,key"`
	City  string
	Price float64
	N     int64
}

type shop struct {
	Shop  string `ashi:"shop,key"`
	Owner string
}

type sum struct {
	Key  string `ashi:"key,key"`
	N    int64
	High float64
	Last string
}

// releasedPlan has an operator of each kind with state, and an internal topic.
func releasedPlan(t testing.TB) *topology.Plan {
	b := dsl.New("released")
	sales, returns := dsl.Stream[sale](b, "sales"), dsl.Stream[sale](b, "returns")
	total := func(g dsl.Group[string, sale]) sum {
		return sum{Key: g.Key(), N: aggregates.Sum(g, func(s *sale) int64 { return s.N }), High: aggregates.Max(g, func(s *sale) float64 { return s.Price }),
			Last: aggregates.LatestByOffset(g, func(s *sale) string { return s.City })}
	}
	w := dsl.Aggregate(dsl.GroupByKey[string](sales), windows.Tumbling(time.Minute, time.Hour).And(windows.Hopping(10*time.Minute, time.Minute)).
		And(windows.Session(30*time.Second)).And(windows.Sliding(45*time.Second)), total)
	w.Changes()
	w.Final()
	dsl.Aggregate(dsl.GroupByKey[string](sales), windows.Hopping(10*time.Minute, time.Minute), total).As("sliced").Final().
		Named(func(k windows.Kind) string { return "sliced_" + k.Name() })
	dsl.Aggregate(dsl.GroupBy(sales, func(s *sale) string { return s.City }), windows.Minutes(5), total).As("by-city").Final().
		Named(func(k windows.Kind) string { return "city_" + k.Name() })
	dsl.LeftJoin(sales, returns, dsl.Within(time.Minute, time.Minute), func(s, back *sale) (sum, error) {
		row := sum{Key: s.Shop, N: s.N}
		if back != nil {
			row.Last = back.City
		}
		return row, nil
	}).To("returned")
	dsl.AsOf(sales, returns, dsl.Back(time.Minute), func(s, back *sale) (sum, error) {
		return sum{Key: s.Shop, N: s.N, Last: back.City}, nil
	}).As("last-return").To("before")
	shops := dsl.Table[string, shop](b, "shops").Versioned(time.Hour)
	dsl.LeftJoinTable(sales, shops, func(s *sale, at *shop) (sum, error) {
		row := sum{Key: s.Shop, N: s.N}
		if at != nil {
			row.Last = at.Owner
		}
		return row, nil
	}).To("owned")
	cities := dsl.ToTable[string](sales)
	cities.Suppress(2*time.Minute, 0).To("cities")
	owners := dsl.Table[string, shop](b, "owners")
	dsl.LeftJoinForeign(cities, owners, func(s *sale) (string, bool) { return s.City, true }, func(s *sale, o *shop) (sum, error) {
		row := sum{Key: s.Shop, N: s.N}
		if o != nil {
			row.Last = o.Owner
		}
		return row, nil
	}).To("city-owners")
	plan, err := b.Build()
	require.NoError(t, err)
	return plan
}

// releasedInput is what a round puts into the topics of releasedPlan.
func releasedInput(d *enginetest.Driver, round int) {
	base := windows.Time(1_700_000_000_000 + 95_000*round)
	key := func(i int) string { return fmt.Sprint("shop", i%3) }
	for i := range 3 {
		at := base + windows.Time(i*7_000)
		city := fmt.Sprint("city", (i+round)%2)
		d.AddRaw("shops", enginetest.Record{Key: []byte(key(i)), Value: fmt.Appendf(nil, `{"Owner":"owner%d"}`, round), Timestamp: at - 20_000})
		d.AddRaw("owners", enginetest.Record{Key: []byte(city), Value: fmt.Appendf(nil, `{"Owner":"of %s in %d"}`, city, round), Timestamp: at})
		d.AddRaw("returns", enginetest.Record{Key: []byte(key(i + round)), Value: fmt.Appendf(nil, `{"City":"back%d","N":1}`, round), Timestamp: at - 5_000})
		d.AddRaw("sales", enginetest.Record{Key: []byte(key(i)), Value: fmt.Appendf(nil, `{"City":%q,"Price":%d.5,"N":%d}`, city, (7*round)%10, i), Timestamp: at})
	}
}

const releasedRounds = 12

func releasedOptions(keep map[string]stores.Store) enginetest.Options {
	return enginetest.Options{Start: time.UnixMilli(1_700_001_000_000), CheckpointEvery: never, KeepStores: keep != nil,
		Store: func(changelog string, _ int32) (stores.Store, error) {
			s := memory.New()
			if keep != nil {
				keep[changelog] = s
			}
			return s, nil
		}}
}

// releasedTopics is the topics of releasedPlan, and the changelogs.
func releasedTopics(plan *topology.Plan) (topics []string) {
	seen := map[string]bool{}
	add := func(topic string) {
		if !seen[topic] {
			seen[topic] = true
			topics = append(topics, topic)
		}
	}
	for _, sub := range plan.Subs {
		for _, topic := range sub.Topics() {
			add(topic)
		}
		for _, sink := range sub.Sinks() {
			add(sink.Topic)
		}
		add(plan.Name + "-" + sub.Name + "-changelog")
	}
	return topics
}

var writeReleased = flag.String("released", "", "write what this version leaves behind into this folder of testdata")

// TestWriteReleased writes what this version leaves behind after half of the rounds, for later ones to read: run it with -released v2.
func TestWriteReleased(t *testing.T) {
	if *writeReleased == "" {
		t.Skip("writes the golden files of a release: only with -released")
	}
	plan := releasedPlan(t)
	left := map[string]stores.Store{}
	o := releasedOptions(left)
	o.CheckpointEvery = 0
	d := enginetest.NewWith(t, plan, o)
	var b bytes.Buffer
	for round := range releasedRounds / 2 {
		releasedInput(d, round)
		if round == releasedRounds/4 {
			for changelog, store := range left {
				for e, err := range store.Scan(nil, nil) {
					require.NoError(t, err)
					fmt.Fprintf(&b, "store %s %x %x\n", changelog, e.Key, e.Value)
				}
			}
		}
	}
	for _, topic := range releasedTopics(plan) {
		for _, r := range d.Partition(topic, 0) {
			value := "null"
			if r.Value != nil {
				value = hex.EncodeToString(r.Value)
			}
			fmt.Fprintf(&b, "topic %s %d %x %s\n", topic, r.Timestamp, r.Key, value)
		}
	}
	dir := filepath.Join("testdata", *writeReleased)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "log.txt"), b.Bytes(), 0o644))
}

// readReleased puts what a release has left behind into topics and stores.
func readReleased(t *testing.T, file string, d *enginetest.Driver, left map[string]stores.Store) {
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		require.NoError(t, err)
		return b
	}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		at := strings.Split(lines.Text(), " ")
		if at[0] == "store" {
			var batch stores.Batch
			batch.Put(unhex(at[2]), unhex(at[3]))
			require.NoError(t, left[at[1]].Write(&batch))
			continue
		}
		ms, err := strconv.ParseInt(at[2], 10, 64)
		require.NoError(t, err)
		r := enginetest.Record{Key: unhex(at[3]), Timestamp: windows.Time(ms)}
		if at[4] != "null" {
			r.Value = unhex(at[4])
		}
		d.Queue(at[1], r)
	}
	require.NoError(t, lines.Err())
}

// What each release has left behind, changelogs and stores, is read by this version: the plan goes on as if it had never been stopped.
func TestReadReleased(t *testing.T) {
	plan := releasedPlan(t)
	whole := enginetest.NewWith(t, plan, releasedOptions(nil))
	for round := range releasedRounds {
		releasedInput(whole, round)
	}
	files, err := filepath.Glob("testdata/v*/log.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		for _, kept := range []bool{false, true} {
			t.Run(fmt.Sprint(file, ", stores kept ", kept), func(t *testing.T) {
				left := map[string]stores.Store{}
				o := releasedOptions(left)
				o.KeepStores = kept
				d := enginetest.NewWith(t, plan, o)
				readReleased(t, file, d, left)
				d.Crash()
				for round := releasedRounds / 2; round < releasedRounds; round++ {
					releasedInput(d, round)
				}
				d.Commit()
				for _, topic := range releasedTopics(plan) {
					if !strings.HasSuffix(topic, "-changelog") {
						require.Equal(t, whole.Partition(topic, 0), d.Partition(topic, 0), topic)
					}
				}
			})
		}
	}
}
