package task_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/topology"
)

type side struct {
	Key   string `ashi:"key,key"`
	Value float64
	At    time.Time `ashi:"at,timestamp"`
}

type both struct {
	Key         string `ashi:"key,key"`
	Left, Right float64
}

func sidesPlan(t testing.TB, keep bool, span dsl.Span) *topology.Plan {
	b := dsl.New("bench")
	left := dsl.Stream[side](b, "left").Codec(codecs.Fixed[side]())
	right := dsl.Stream[side](b, "right").Codec(codecs.Fixed[side]())
	pair := func(l, r *side) (both, error) {
		if r == nil {
			return both{Key: l.Key, Left: l.Value}, nil
		}
		return both{l.Key, l.Value, r.Value}, nil
	}
	join := dsl.Join[side, side, both]
	if keep {
		join = dsl.LeftJoin[side, side, both]
	}
	join(left, right, span, pair).Peek(func(*both) error { return nil })
	plan, err := b.Build()
	require.NoError(t, err)
	return plan
}

// sideBatches makes batches for both topics: records in order, so many ms apart, round the keys.
type sideBatches struct {
	keys   int
	apart  int64
	now    int64
	offset int64
	b      [2]task.Batch
}

const batchRows = 500

func newSideBatches(keys int, apart int64) *sideBatches {
	s := &sideBatches{keys: keys, apart: apart, now: 1_700_000_000_000}
	for i, topic := range joinTopics {
		s.b[i] = task.Batch{Topic: topic, Records: make([]task.Record, batchRows)}
		for j := range s.b[i].Records {
			s.b[i].Records[j].Value = make([]byte, 16)
		}
	}
	return s
}

// next fills both batches; the right row of a key is half a step behind the left one.
func (s *sideBatches) next(keyOf [][]byte) {
	for j := range batchRows {
		for i := range s.b {
			r := &s.b[i].Records[j]
			r.Key = keyOf[int(s.offset)%s.keys]
			binary.BigEndian.PutUint64(r.Value[8:], uint64(s.now+int64(i)*s.apart/2))
			r.Offset = s.offset
		}
		s.offset++
		s.now += s.apart
	}
	s.b[0].Next, s.b[1].Next = s.offset, s.offset
}

func (s *sideBatches) run(tk *task.Task) error {
	tk.Offer(&s.b[0], func() {})
	tk.Offer(&s.b[1], func() {})
	return tk.Run(context.Background(), func(string) bool { return true })
}

func benchKeys(n int) [][]byte {
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "K%06d", i)
	}
	return keys
}

// One record of a join in order, from its bytes to the result: 1,000 keys, about one match a
// record; a commit each 50,000 records.
func BenchmarkStreamJoin(b *testing.B) {
	for _, keep := range []bool{false, true} {
		b.Run(map[bool]string{false: "inner", true: "left"}[keep], func(b *testing.B) {
			tk, err := task.New(taskConfig(sidesPlan(b, keep, dsl.Within(time.Second, time.Second)), memory.New(),
				&discard{}))
			require.NoError(b, err)
			keys, s := benchKeys(1000), newSideBatches(1000, 2)
			for range 40 {
				s.next(keys)
				require.NoError(b, s.run(tk))
			}
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += 2 * batchRows {
				b.StopTimer()
				s.next(keys)
				b.StartTimer()
				if err := s.run(tk); err != nil {
					b.Fatal(err)
				}
				if s.offset%(50*batchRows) == 0 {
					if err := tk.Commit(context.Background()); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// What a record with ten matches costs in a join that keeps so many rows of its key on each side:
// left rows match what is up to 10 ms older, and grace is what keeps the rest.
func BenchmarkJoinBuffered(b *testing.B) {
	for _, rows := range []int{100, 1000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("%d rows", rows), func(b *testing.B) {
			span := dsl.Within(10*time.Millisecond, 0).Grace(time.Duration(rows) * time.Millisecond)
			tk, err := task.New(taskConfig(sidesPlan(b, false, span), memory.New(), &discard{}))
			require.NoError(b, err)
			keys, s := benchKeys(1), newSideBatches(1, 1)
			for range 2*rows/batchRows + 40 {
				s.next(keys)
				require.NoError(b, s.run(tk))
			}
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += 2 * batchRows {
				b.StopTimer()
				s.next(keys)
				b.StartTimer()
				if err := s.run(tk); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A record of a join in order, and its matches, allocate nothing: blocks are allocated, one for
// thousands of rows.
func TestNoAllocationPerJoinedRecord(t *testing.T) {
	for _, keep := range []bool{false, true} {
		p := &discard{}
		tk, err := task.New(taskConfig(sidesPlan(t, keep, dsl.Within(time.Second, time.Second)), memory.New(), p))
		require.NoError(t, err)
		keys, s := benchKeys(1000), newSideBatches(1000, 2)
		for range 100 {
			s.next(keys)
			require.NoError(t, s.run(tk))
		}
		total := testing.AllocsPerRun(50, func() {
			s.next(keys)
			if err := s.run(tk); err != nil {
				t.Fatal(err)
			}
		})
		require.Less(t, total, 50.0, "allocations for 1,000 records in 8 buckets")
	}
}
