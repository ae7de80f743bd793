package task_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/windows"
)

const joinLog = "joins--left-changelog"

var goldenJoin = joinProgram{kind: "left", before: 2000, after: 1000, grace: 599} // buckets of 100 and 162 ms

func goldenJoinRecords(t testing.TB) []joinInput {
	return []joinInput{
		joinRecord(t, 0, &joinEvent{K: "EUR", N: 1}, 1_700_000_000_000),
		joinRecord(t, 0, &joinEvent{K: "EUR", N: 2, Pad: "x"}, 1_700_000_000_001),
		joinRecord(t, 1, &joinEvent{K: "EUR", N: 3}, 1_699_999_999_000),
		joinRecord(t, 0, &joinEvent{K: "NZD", N: 4}, 1_700_000_000_050),
	}
}

// TestGoldenJoin pins what outlives the process: a block a side, bucket and commit, marks of
// preserved sides, tombstones.
func TestGoldenJoin(t *testing.T) {
	d := enginetest.New(t, goldenJoin.build(t))
	queueJoin(d, goldenJoinRecords(t))
	d.Commit()
	end := joinRecord(t, 0, &joinEvent{K: "EUR", N: 5}, 1_700_000_100_000)
	queueJoin(d, []joinInput{end})
	d.Commit()
	row := func(n, pad string) string { return "000000000000000" + n + "0000000000000000" + pad }
	left := "01" + "0100" + "0000018bcfe56800" + "0000000000000001" + "00000000"
	right := "01" + "0101" + "0000018bcfe563e4" + "0000000000000001" + "00000000"
	want := []string{
		// time after the start of the bucket, key, row with its form
		left + " " + "00" + "03" + "455552" + "16" + "00" + "03455552" + row("1", "00") +
			"01" + "03" + "455552" + "17" + "00" + "03455552" + row("2", "0178") +
			"32" + "03" + "4e5a44" + "16" + "00" + "034e5a44" + row("4", "00"),
		"01" + "0102" + left[6:] + " 03", // rows 0 and 1 are matched
		right + " " + "34" + "03" + "455552" + "16" + "00" + "03455552" + row("3", "00"),
		"commit",
		left + " null",
		"01" + "0102" + left[6:] + " null",
		right + " null",
		"01" + "0100" + "0000018bcfe6ee" + "a0" + "0000000000000002" + "00000000" + " " + "00" + "03" + "455552" +
			"16" + "00" + "03455552" + row("5", "00"), "commit",
	}
	var got []string
	for _, r := range d.Partition(joinLog, 0) {
		switch {
		case string(r.Key) == string(task.ProgressKey):
			got = append(got, "commit")
		case r.Value == nil:
			got = append(got, hex.EncodeToString(r.Key)+" null")
		default:
			got = append(got, hex.EncodeToString(r.Key)+" "+hex.EncodeToString(r.Value))
		}
	}
	require.Equal(t, strings.Join(want, "\n"), strings.Join(got, "\n"))
}

// joinStore is a store restored from the changelog of the golden join, in which change has been
// made to a record's value.
func joinStore(t testing.TB, change func(key string, value []byte) []byte) stores.Store {
	d := enginetest.New(t, goldenJoin.build(t))
	queueJoin(d, goldenJoinRecords(t))
	d.Commit()
	var log []task.Record
	for i, r := range d.Partition(joinLog, 0) {
		log = append(log, task.Record{Key: r.Key, Value: change(hex.EncodeToString(r.Key[:min(3, len(r.Key))]),
			r.Value), Offset: int64(i)})
	}
	store := memory.New()
	require.NoError(t, task.NewRestorer(store, ownerOf(goldenJoin.build(t))).Apply(log, int64(len(log))))
	return store
}

// useJoinStore opens a task on a store, and processes a record that matches right rows, and one
// that closes all.
func useJoinStore(t testing.TB, store stores.Store) error {
	tk, err := task.New(ownConfig(goldenJoin.build(t), store, &discard{}))
	if err != nil {
		return err
	}
	var records []task.Record
	for i, at := range []int64{1_700_000_000_060, 1_800_000_000_000} {
		r := joinRecord(t, 0, &joinEvent{K: "EUR", N: 9}, at)
		records = append(records, task.Record{Key: r.Key, Value: r.Value, Timestamp: r.Timestamp,
			Offset: int64(10 + i)})
	}
	return tk.Process(t.Context(), &task.Batch{Topic: "left", Next: 20, Records: records}, func() {})
}

// A block that is cut short is an error that says so, when the task is opened or when the row is
// read.
func TestDamagedBlocks(t *testing.T) {
	damaged := func(err error) bool { return strings.Contains(fmt.Sprint(err), "damaged") }
	require.NoError(t, useJoinStore(t, joinStore(t, func(_ string, v []byte) []byte { return v })))
	for _, op := range []string{"010100", "010101"} {
		for n := range 30 {
			err := useJoinStore(t, joinStore(t, func(key string, v []byte) []byte {
				if key == op {
					return v[:n]
				}
				return v
			}))
			require.True(t, damaged(err) || n == 28, // a whole row with its form
				"%s cut after %d bytes: %v", op, n, err)
		}
	}
	for _, marks := range [][]byte{{3, 0}, {1, 2, 3}} {
		err := useJoinStore(t, joinStore(t, func(key string, v []byte) []byte {
			if key == "010102" {
				return marks
			}
			return v
		}))
		require.ErrorIs(t, err, task.ErrDamaged)
	}
}

// FuzzJoinBlock opens tasks on blocks and marks of any bytes: they are read or refused.
func FuzzJoinBlock(f *testing.F) {
	joinStore(f, func(key string, v []byte) []byte {
		if key == "010100" {
			f.Add(v, []byte{3})
		}
		return v
	})
	f.Add([]byte{}, []byte{})
	f.Add([]byte{0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, []byte{1})
	f.Fuzz(func(t *testing.T, block, marks []byte) {
		err := useJoinStore(t, joinStore(t, func(key string, v []byte) []byte {
			switch key {
			case "010100":
				return block
			case "010102":
				return marks
			}
			return v
		}))
		if err != nil {
			require.Contains(t, err.Error(), "damaged")
		}
	})
}

// feeder gives one task records of both sides, a batch at a time.
type feeder struct {
	t    testing.TB
	task *task.Task
	next int64
}

func (f *feeder) add(records ...joinInput) {
	for side, topic := range joinTopics {
		b := &task.Batch{Topic: topic}
		for _, r := range records {
			if r.side == side {
				b.Records = append(b.Records, task.Record{Key: r.Key, Value: r.Value, Timestamp: r.Timestamp,
					Offset: f.next})
				f.next++
			}
		}
		b.Next = f.next
		f.task.Offer(b, func() {})
	}
	require.NoError(f.t, f.task.Run(f.t.Context(), func(string) bool { return true }))
}

func entries(t testing.TB, store stores.Store) (n int) {
	for e, err := range store.Scan(nil, nil) {
		require.NoError(t, err)
		if e.Key[0] == 1 {
			n++
		}
	}
	return n
}

// Memory and store are what open rows need, however many rows have been there; a jump of years
// through a full buffer leaves nothing behind.
func TestJoinStateIsBounded(t *testing.T) {
	for _, kind := range joinKinds {
		t.Run(kind, func(t *testing.T) {
			p := &joinProgram{kind: kind, before: 10_000, grace: 1000}
			if !p.asOf() {
				p.after = 10_000
			}
			store := memory.New()
			cfg := taskConfig(p.build(t), store, &discard{})
			cfg.CheckpointEvery = 0
			tk, err := task.New(cfg)
			require.NoError(t, err)
			f := &feeder{t: t, task: tk}
			now, most := int64(1000), [2]int{}
			round := func(jump int64) {
				var records []joinInput
				for i := range 100 {
					now += 20
					key := fmt.Sprint("k", now/40%35)
					if i%6 == 1 { // a third of the rows match nothing
						key += "'"
					}
					records = append(records, joinRecord(t, i%2, &joinEvent{K: key, N: int64(i)}, now))
				}
				now += jump
				f.add(records...)
				require.NoError(t, tk.Commit(t.Context()))
			}
			for n := range 100 {
				round(0)
				if half := n / 50; true {
					most[half] = max(most[half], tk.Memory())
				}
			}
			require.Less(t, most[1], most[0]*5/4, "bytes after 5,000 rows, and after 10,000")
			stored := entries(t, store)
			require.Less(t, stored, 100)
			var after []int
			for range 20 {
				round(100_000_000_000)
				round(100_000_000_000)
				round(0)
				require.Less(t, entries(t, store), 20)
				after = append(after, tk.Memory())
			}
			require.Less(t, after[19], most[1]*3/4)
			require.Less(t, after[19], slices.Max(after[:5])*5/4, "bytes after each jump")
		})
	}
}

// A right row of an as-of join that is in force for long does not keep those that came with it.
func TestAsOfKeepsWhatIsInForce(t *testing.T) {
	p := &joinProgram{kind: "as-of", before: 100_000_000, grace: 20}
	store := memory.New()
	cfg := taskConfig(p.build(t), store, &discard{})
	cfg.CheckpointEvery = 0
	tk, err := task.New(cfg)
	require.NoError(t, err)
	f := &feeder{t: t, task: tk}
	now := windows.Time(0)
	for n := range 300 {
		var records []joinInput
		for i := range 50 {
			now += 3
			key := "busy"
			if i == 7 {
				key = fmt.Sprint("rare", n)
			}
			records = append(records, joinRecord(t, 1, &joinEvent{K: key, N: int64(n*50 + i),
				Pad: strings.Repeat("x", 500)}, int64(now)))
		}
		f.add(records...)
		require.NoError(t, tk.Commit(t.Context()))
	}
	bytes := 0
	for e := range store.Scan(nil, nil) {
		bytes += len(e.Value)
	}
	require.Less(t, bytes, 3*600*300, "300 rare rows, of 15,000")
	require.Less(t, tk.Memory(), 3*700*300)

	out := &results{}
	cfg.Producer = out
	tk, err = task.New(cfg)
	require.NoError(t, err)
	f.task = tk
	for _, n := range []int{0, 150, 299} {
		f.add(joinRecord(t, 0, &joinEvent{K: fmt.Sprint("rare", n), N: 1}, int64(now)))
	}
	f.add(joinRecord(t, 0, &joinEvent{K: "busy", N: 1}, int64(now)), joinRecord(t, 0, &joinEvent{K: "end", N: 1},
		int64(now)+20))
	require.Equal(t, []string{`{"K":"busy","Left":1,"Right":14999}`, `{"K":"rare0","Left":1,"Right":7}`,
		`{"K":"rare150","Left":1,"Right":7507}`, `{"K":"rare299","Left":1,"Right":14957}`}, out.values)
}

// results is a producer that keeps what is written to the output.
type results struct {
	discard
	values []string
}

func (r *results) Produce(_ context.Context, o *task.Output) {
	if o.Topic == "out" {
		r.values = append(r.values, string(o.Value))
	}
}
