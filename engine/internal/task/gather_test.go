package task_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/stores/storetest"
)

// changelogOf has rows that are written again and deleted.
func changelogOf(n int) []task.Record {
	log := make([]task.Record, n)
	for i := range log {
		log[i] = task.Record{Offset: int64(i), Key: fmt.Appendf(nil, "\x01row %d", i*31%97),
			Value: fmt.Appendf(nil, "%0500d", i)}
		if i%5 == 0 {
			log[i].Value = nil
		}
	}
	return log
}

func contents(t *testing.T, s stores.Store) map[string]string {
	rows := map[string]string{}
	for e, err := range s.Scan(nil, nil) {
		require.NoError(t, err)
		rows[string(e.Key)] = string(e.Value)
	}
	return rows
}

// Gather and Finish leave what Apply leaves, whatever the bound: in one piece, in many, written or
// loaded.
func TestGatherIsApply(t *testing.T) {
	log := changelogOf(5000)
	applied := memory.New()
	require.NoError(t, task.NewRestorer(applied, task.LogID{}).Apply(log, 5001))
	for _, bound := range []int{0, 1 << 10, 200 << 10, 3 << 20, 1 << 30} {
		store, err := storetest.NewFaulty(memory.New())
		require.NoError(t, err)
		r := task.NewRestorer(store, task.LogID{})
		require.NoError(t, r.Gather(nil, 0, bound))
		for i := 0; i < len(log); i += 100 {
			require.NoError(t, r.Gather(log[i:i+100], int64(i+100), bound))
		}
		require.NoError(t, r.Gather(nil, 5001, bound))
		require.NoError(t, r.Finish())
		require.NoError(t, r.Finish(), "nothing is left")
		require.Equal(t, contents(t, applied), contents(t, store), "bound %d", bound)
		at, ok, err := r.Position()
		require.NoError(t, err)
		require.True(t, ok)
		require.EqualValues(t, 5001, at)
	}
}

// A restore that breaks off leaves a position whose rows are all there, and none behind it.
func TestGatherBrokenOff(t *testing.T) {
	log := changelogOf(5000)
	broken := errors.New("no disk")
	for n := 1; n <= 6; n++ {
		store, err := storetest.NewFaulty(memory.New())
		require.NoError(t, err)
		store.Fail(storetest.CallWrite, n, broken)
		r := task.NewRestorer(store, task.LogID{})
		var failed error
		for i := 0; i < len(log) && failed == nil; i += 100 {
			failed = r.Gather(log[i:i+100], int64(i+100), 300<<10)
		}
		require.ErrorIs(t, failed, broken)
		left, err := store.Crash(0)
		require.NoError(t, err)
		r = task.NewRestorer(left, task.LogID{})
		at, _, err := r.Position()
		require.NoError(t, err)
		want := memory.New()
		if at > 0 {
			require.NoError(t, task.NewRestorer(want, task.LogID{}).Apply(log[:at], at))
		}
		require.Equal(t, contents(t, want), contents(t, left), "failed at write %d, position %d", n, at)
	}
}

func TestGatherRefusesRecordsWithoutKey(t *testing.T) {
	store, err := storetest.NewFaulty(memory.New())
	require.NoError(t, err)
	require.ErrorContains(t, task.NewRestorer(store, task.LogID{}).Gather([]task.Record{{Offset: 7}}, 8, 1<<20),
		"offset 7")
}
