package streamstest

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/ashi-stream/ashi/engine/internal/murmur"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/windows"
)

// tick has no timestamp column: its event time is the record's.
type tick struct {
	Key string  `ashi:"key,key" json:"-"`
	Bid float64 `ashi:"bid" json:"bid"`
}

// total is what both sides count in a window.
type total struct {
	Count                 int64
	First, Last, Min, Max float64
}

// String is total with each bit of its numbers: -0 is not 0.
func (t total) String() string {
	return fmt.Sprintf("count %d first %v last %v min %v max %v", t.Count, exact(t.First), exact(t.Last), exact(t.Min),
		exact(t.Max))
}

func exact(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// program is windows over one input. Times are in milliseconds.
type program struct {
	form                 string // time, session or sliding
	size, advance, grace int64
}

func (p program) spec() windows.Spec {
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	switch p.form {
	case "session":
		return windows.Session(ms(p.size)).Grace(ms(p.grace))
	case "sliding":
		return windows.Sliding(ms(p.size)).Grace(ms(p.grace))
	}
	return windows.Hopping(ms(p.size), ms(p.advance)).Grace(ms(p.grace))
}

// scene is an input, and the programs that run over it on both sides.
type scene struct {
	name       string
	topic      string
	store      string // of Kafka Streams: memory, or rocksdb, which it takes where nothing is said
	partitions int32
	records    []task.Output
	programs   []program
	outputs    [2][]string // topics, by side and program
}

const ours, theirs = 0, 1

// record is one record, of no value if bid is NaN, of no key if key is empty.
func record(key string, at int64, bid float64) task.Output {
	o := task.Output{Timestamp: windows.Time(at)}
	if key != "" {
		o.Key = []byte(key)
	}
	if !math.IsNaN(bid) {
		o.Value = fmt.Appendf(nil, `{"bid":%s}`, exact(bid))
	}
	return o
}

// grain is the distance between event times, so that records meet bounds of windows, and each
// other, all the time.
const grain = 500

// randomScene has records out of order, late, at the same instant, with jumps of seconds and of
// years, without value or without key (and those far ahead: they must not move stream time), of
// values that are alike and of both zeroes.
func randomScene(r *rand.Rand, name, store string, start int64, records, programs int) *scene {
	s := &scene{name: name, store: store, partitions: 2}
	at := start
	for range records {
		at += grain * int64(r.IntN(4))
		switch r.IntN(400) {
		case 0:
			at += grain * r.Int64N(3*365*24*3600*2)
		case 1, 2, 3, 4, 5, 6, 7, 8:
			at += grain * r.Int64N(120)
		}
		when, key, bid := at, fmt.Sprintf("k%d", r.IntN(7)), float64(r.IntN(64)-32)/8
		switch n := r.IntN(100); {
		case n < 40:
			when -= grain * int64(r.IntN(25))
		case n < 44:
			when -= grain * int64(r.IntN(200))
		case n == 44:
			when, key = when+3_600_000, ""
		case n == 45:
			when, bid = when+3_600_000, math.NaN()
		case n == 46:
			bid = math.Copysign(0, -1)
		}
		s.records = append(s.records, record(key, max(when, 0), bid))
	}
	for range programs {
		size := 1 + r.Int64N(20_000)
		if r.IntN(2) == 0 {
			size = grain * (1 + r.Int64N(40))
		}
		advance := min(size/10+1+r.Int64N(size-size/10), size)
		if n := 2 + r.Int64N(8); r.IntN(3) == 0 {
			advance = max(size/n, 1)
			size = n * advance
		}
		s.programs = append(s.programs, program{"time", size, size, grain * r.Int64N(20)},
			program{"time", size, advance, grain * r.Int64N(20)})
	}
	// A grace between two times: no record ever comes when stream time is past the end of a session
	// by exactly gap and grace.
	for range programs {
		s.programs = append(s.programs, program{"session", grain * (1 + r.Int64N(10)), 0, grain*r.Int64N(20) + grain/2})
	}
	return s
}

// slidingScene is for sliding windows. Its records are out of order within the grace of all
// programs, or so late that no window can have them: in between Kafka Streams loses some
// (differences). A grace is between two times, for suppress puts out at the end and grace what the
// aggregation takes records for still.
func slidingScene(r *rand.Rand, name, store string, start int64, records, programs int) *scene {
	s := &scene{name: name, store: store, partitions: 2}
	const disorder, longest = 12_000, 20_000
	at, now := start, map[int32]int64{}
	for range records {
		at += grain * int64(r.IntN(4))
		switch r.IntN(400) {
		case 0:
			at += grain * r.Int64N(3*365*24*3600*2)
		case 1, 2, 3, 4, 5, 6, 7, 8:
			at += grain * r.Int64N(120)
		}
		when, key, bid := max(0, at-disorder*int64(r.IntN(2))+grain*r.Int64N(disorder/grain)),
			fmt.Sprintf("k%d", r.IntN(5)), float64(r.IntN(64)-32)/8
		partition := murmur.Partition([]byte(key), s.partitions)
		when = max(when, now[partition]-disorder)
		switch late := now[partition] - 4*longest - grain*r.Int64N(100); {
		case r.IntN(30) == 0 && late >= 0:
			when = late
		case r.IntN(50) == 0:
			when, key = when+3_600_000, ""
		default:
			now[partition] = max(now[partition], when)
		}
		s.records = append(s.records, record(key, when, bid))
	}
	for i := range programs {
		diff := 1 + r.Int64N(longest)
		if i%2 == 0 {
			diff = grain * (1 + r.Int64N(longest/grain))
		}
		s.programs = append(s.programs, program{"sliding", diff, 0, disorder + grain*r.Int64N(10) + grain/2})
	}
	return s
}

// end adds a record to each partition that closes all windows before it.
func (s *scene) end() {
	last := slices.MaxFunc(s.records, func(a, b task.Output) int {
		return cmp.Compare(a.Timestamp,
			b.Timestamp)
	}).Timestamp
	done := map[int32]bool{}
	for i := 0; len(done) < int(s.partitions); i++ {
		key := fmt.Sprintf("end%d", i)
		if p := murmur.Partition([]byte(key), s.partitions); !done[p] {
			done[p] = true
			s.records = append(s.records, record(key, int64(last)+24*3_600_000, 1))
		}
	}
}

// difference is an input of one partition on which both sides do not agree, and what each makes of
// it.
type difference struct {
	scene
	theirs, ours []string
}

// differences are those that are known. At a stream time of a session's end, gap and grace
// together, Kafka Streams does not agree with itself: suppress puts the session out and the store
// hides it, but the session takes records still: of its time or later they begin a second one, of
// times before they are dropped. A record whose own sliding window is closed is not in the state of
// any window from which Kafka Streams makes later ones, unless another has it.
func differences() []*difference {
	exact, sliding := []program{{"session", 10, 0, 5}}, []program{{"sliding", 10, 0, 1}}
	return []*difference{
		{scene{name: "same-instant", programs: exact, records: []task.Output{record("a", 0, 1), record("b", 15, 2),
			record("a", 0, 3)}},
			[]string{`"a" [0,0] @0 count 1 first 1 last 1 min 1 max 1, partition 0`,
				`"a" [0,0] @0 count 1 first 3 last 3 min 3 max 3, partition 0`,
				`"b" [15,15] @15 count 1 first 2 last 2 min 2 max 2, partition 0`},
			[]string{`"a" [0,0] @0 count 2 first 1 last 3 min 1 max 3, partition 0`,
				`"b" [15,15] @15 count 1 first 2 last 2 min 2 max 2, partition 0`}},
		{scene{name: "extended", programs: exact, records: []task.Output{record("a", 0, 1), record("b", 15, 2),
			record("a", 5, 3)}},
			[]string{`"a" [0,0] @0 count 1 first 1 last 1 min 1 max 1, partition 0`,
				`"a" [5,5] @5 count 1 first 3 last 3 min 3 max 3, partition 0`,
				`"b" [15,15] @15 count 1 first 2 last 2 min 2 max 2, partition 0`},
			[]string{`"a" [0,5] @5 count 2 first 1 last 3 min 1 max 3, partition 0`,
				`"b" [15,15] @15 count 1 first 2 last 2 min 2 max 2, partition 0`}},
		{scene{name: "before", programs: exact, records: []task.Output{record("a", 5, 1), record("b", 20, 2),
			record("a", 3, 3)}},
			[]string{`"a" [5,5] @5 count 1 first 1 last 1 min 1 max 1, partition 0`,
				`"b" [20,20] @20 count 1 first 2 last 2 min 2 max 2, partition 0`},
			[]string{`"a" [3,5] @5 count 2 first 1 last 3 min 1 max 3, partition 0`,
				`"b" [20,20] @20 count 1 first 2 last 2 min 2 max 2, partition 0`}},
		{scene{name: "lost", programs: sliding, records: []task.Output{record("a", 100, 1), record("b", 105, 2),
			record("a", 98, 3), record("a", 107, 4)}},
			[]string{`"a" [90,100] @100 count 1 first 1 last 1 min 1 max 1, partition 0`,
				`"b" [95,105] @105 count 1 first 2 last 2 min 2 max 2, partition 0`,
				`"a" [97,107] @107 count 2 first 1 last 4 min 1 max 4, partition 0`,
				`"a" [99,109] @107 count 2 first 1 last 4 min 1 max 4, partition 0`,
				`"a" [101,111] @107 count 1 first 4 last 4 min 4 max 4, partition 0`},
			[]string{`"a" [90,100] @100 count 1 first 1 last 1 min 1 max 1, partition 0`,
				`"b" [95,105] @105 count 1 first 2 last 2 min 2 max 2, partition 0`,
				`"a" [97,107] @107 count 3 first 1 last 4 min 1 max 4, partition 0`,
				`"a" [99,109] @107 count 2 first 1 last 4 min 1 max 4, partition 0`,
				`"a" [101,111] @107 count 1 first 4 last 4 min 4 max 4, partition 0`}},
	}
}
