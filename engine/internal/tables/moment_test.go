package tables_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/internal/tables"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/topology"
)

// TC-6: each read sees one state of the table, whatever is written beside it and however many
// others read.
func TestReadsSeeOneMoment(t *testing.T) {
	for name, open := range openStores {
		t.Run(name, func(t *testing.T) {
			store := open(t)
			defer func() { require.NoError(t, store.Close()) }()
			table := &topology.Table{Topic: "limits", File: "main"}
			m := mirror(t, table, store)
			const keys = 50
			round := func(n int) (records []task.Record) {
				for k := range keys {
					records = append(records, put(fmt.Appendf(nil, "%02d", k), fmt.Sprint(n)))
				}
				return records
			}
			m.batches(round(0))
			r := tables.NewReader(ref(table), store, m.Mirror, ready)
			errs := make([]error, 4)
			var reading sync.WaitGroup
			for i := range errs {
				reading.Go(func() {
					last := ""
					for range 100 {
						if last, errs[i] = oneValue(r.All(t.Context()), keys, last); errs[i] != nil {
							return
						}
						if last, errs[i] = oneValue(r.Prefix(t.Context(), []byte("1")), 10, last); errs[i] != nil {
							return
						}
						for _, err := range r.All(t.Context()) { // left early
							errs[i] = err
							break
						}
					}
				})
			}
			read := make(chan struct{})
			go func() {
				reading.Wait()
				close(read)
			}()
			for n := 1; ; n++ {
				m.batches(round(n))
				if n%50 == 0 {
					require.NoError(t, store.Flush())
				}
				select {
				case <-read:
					require.NoError(t, errors.Join(errs...))
					return
				default:
				}
			}
		})
	}
}

// oneValue is the value that all rows have; it is not older than last.
func oneValue(rows iter.Seq2[row, error], n int, last string) (string, error) {
	value, count := "", 0
	for r, err := range rows {
		if err != nil {
			return last, err
		}
		if count++; count > 1 && string(r.Value) != value {
			return last, fmt.Errorf("row %s is of write %s beside one of %s", r.Key, r.Value, value)
		}
		value = string(r.Value)
	}
	if count != n {
		return last, fmt.Errorf("%d rows of %d", count, n)
	}
	if len(value) < len(last) || len(value) == len(last) && value < last {
		return last, fmt.Errorf("write %s after %s", value, last)
	}
	return value, nil
}

// The same of windows whose old rows go: of each key a read has exactly those of the retention, or
// fewer while they come in.
func TestReadsWhileRowsExpire(t *testing.T) {
	for name, open := range openStores {
		t.Run(name, func(t *testing.T) {
			store := open(t)
			defer func() { require.NoError(t, store.Close()) }()
			m := keeping(t, store, 20*time.Minute)
			r := tables.NewReader(ref(finals(t)), store, m.Mirror, ready)
			for minute := range int64(40) {
				m.batches([]task.Record{bar("a", minute), bar("b", minute)})
			}
			var failed error
			read := make(chan struct{})
			go func() {
				defer close(read)
				for range 300 {
					if failed = gapless(t.Context(), r); failed != nil {
						return
					}
				}
			}()
			for minute := int64(40); ; minute++ {
				m.batches([]task.Record{bar("a", minute), bar("b", minute)})
				select {
				case <-read:
					require.NoError(t, failed)
					return
				default:
				}
			}
		})
	}
}

// gapless reads all rows of a, of which each follows the one before, at most 20.
func gapless(ctx context.Context, r *tables.Reader[string, row]) error {
	last, n := -1, 0
	for got, err := range r.Range(ctx, "a", time.UnixMilli(0), time.UnixMilli(1<<40)) {
		if err != nil {
			return err
		}
		minute := 0
		if _, err := fmt.Sscan(string(got.Value), &minute); err != nil {
			return err
		}
		if n > 0 && minute != last+1 {
			return fmt.Errorf("minute %d follows %d", minute, last)
		}
		last = minute
		n++
	}
	if n > 20 {
		return fmt.Errorf("%d rows in 20 minutes", n)
	}
	return nil
}

func TestReaderBetween(t *testing.T) {
	m, r := bars(t)
	at := func(minute int64) time.Time { return time.UnixMilli(minute * 60_000) }
	got, err := texts(r.Between(t.Context(), at(2), at(4)))
	require.NoError(t, err)
	require.Equal(t, []string{`""=2`, `""=3`, `"a"=2`, `"a"=3`, `"ab"=2`, `"ab"=3`, `"b"=2`}, got, "by key, then start")
	got, err = texts(r.Between(t.Context(), at(-5), at(0).Add(1)))
	require.NoError(t, err)
	require.Equal(t, []string{`""=0`, `"a"=0`, `"a\x00"=0`, `"ab"=0`}, got)
	got, err = texts(r.Between(t.Context(), at(3), at(3)))
	require.NoError(t, err)
	require.Empty(t, got)
	table := &topology.Table{Topic: "limits", File: "main"}
	_, err = texts(tables.NewReader(ref(table), m.store, m.Mirror, ready).Between(t.Context(), at(0), at(1)))
	require.ErrorContains(t, err, "use Get")
}

var openStores = map[string]func(t *testing.T) stores.Store{"memory": func(
	*testing.T) stores.Store {
	return memory.New()
}}
