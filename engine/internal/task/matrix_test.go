package task_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/engine/internal/murmur"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/stores/rocksdb"
	"github.com/ashi-stream/ashi/stores/storetest"
)

const never = 1 << 60 // as a time between checkpoints

// setting is a way to run a program that must not change its results.
type setting struct {
	name    string
	options enginetest.Options
	store   string // memory, rocksdb, or lossy: a crash keeps a random number of the writes that were not flushed
	crashes int    // at random points
}

func settings() []setting {
	return []setting{
		{name: "one commit", options: enginetest.Options{CommitBatches: 1 << 30, CheckpointEvery: never}},
		{name: "commit and checkpoint after each record", options: enginetest.Options{Batch: 1, CommitBatches: 1}},
		{name: "batches of 7, a commit after 3, no checkpoint", options: enginetest.Options{Batch: 7, CommitBatches: 3,
			CheckpointEvery: never}},
		{name: "no row stays in memory", options: enginetest.Options{Batch: 7, Memory: 1}},
		{name: "few rows stay in memory", options: enginetest.Options{Batch: 1, CommitBatches: 5, Memory: 4000}},
		{name: "every update", options: enginetest.Options{Batch: 7, CommitBatches: 2, EveryUpdate: true}, crashes: 3},
		{name: "crashes, stores lost", options: enginetest.Options{Batch: 7, CommitBatches: 3}, crashes: 6},
		{name: "crashes, stores lost, no row stays in memory", options: enginetest.Options{Batch: 7, CommitBatches: 3,
			Memory: 1}, crashes: 6},
		{name: "crashes, stores kept", options: enginetest.Options{Batch: 1, CommitBatches: 10, KeepStores: true},
			crashes: 6},
		{name: "crashes, stores kept without checkpoints", options: enginetest.Options{Batch: 7, CommitBatches: 2,
			KeepStores: true, CheckpointEvery: never}, crashes: 6},
		{name: "crashes, stores that lose writes", options: enginetest.Options{Batch: 7, CommitBatches: 2},
			store: "lossy", crashes: 12},
		{name: "crashes, stores that lose writes, few rows in memory", options: enginetest.Options{Batch: 7,
			CommitBatches: 2, Memory: 4000}, store: "lossy", crashes: 12},
		{name: "rocksdb", options: enginetest.Options{Batch: 1000, CommitBatches: 1}, store: "rocksdb"},
		{name: "rocksdb, crashes, no row stays in memory", options: enginetest.Options{Batch: 7, CommitBatches: 3,
			Memory: 1, KeepStores: true}, store: "rocksdb", crashes: 3},
		{name: "rocksdb, opened again", options: enginetest.Options{Batch: 7, CommitBatches: 3}, store: "rocksdb",
			crashes: 3},
	}
}

// TestMatrix runs programs in all settings: the final topics are those of the oracle, byte for
// byte, and so are the last changes.
func TestMatrix(t *testing.T) {
	from, n := rand.Uint64N(1<<40), uint64(4)
	if testing.Short() {
		n = 1
	}
	if *seed != 0 {
		from, n = *seed, 1
	}
	for at := from; at < from+n; at++ {
		for _, partitions := range []int32{1, 3} {
			for _, s := range settings() {
				t.Run(fmt.Sprintf("%d partitions/%s", partitions, s.name), func(t *testing.T) {
					t.Logf("seed %d", at)
					r := rand.New(rand.NewPCG(at, uint64(partitions)))
					s.check(t, r, randomProgram(r, partitions), partitions)
				})
				if t.Failed() {
					return
				}
			}
		}
	}
}

// TestMatrixOfSessions is the same for programs with sessions, in the settings that drop them from
// memory.
func TestMatrixOfSessions(t *testing.T) {
	at := rand.Uint64N(1 << 40)
	if *seed != 0 {
		at = *seed
	}
	for _, s := range settings() {
		if s.options.Memory == 0 {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Logf("seed %d", at)
			r := rand.New(rand.NewPCG(at, 1))
			p := randomProgram(r, 1)
			for !slices.ContainsFunc(p.kinds, func(f form) bool { return f.what == "session" }) {
				p = randomProgram(r, 1)
			}
			s.check(t, r, p, 1)
		})
	}
}

func (s setting) check(t *testing.T, r *rand.Rand, p *program, partitions int32) {
	in := randomStream(t, r, p, 250)
	t.Log(p)
	built := p.build(t)
	o := newOracle(p, in)
	o.every = s.options.EveryUpdate
	s.options.Partitions, s.options.Start, s.options.Ahead, s.options.Store = partitions, in.clock, in.ahead,
		s.stores(t, r)
	d := enginetest.NewWith(t, built.plan, s.options)
	crash := map[int]bool{}
	for range s.crashes {
		crash[r.IntN(len(in.records))] = true
	}
	var added []enginetest.Record
	for i := range in.records {
		o.record(murmur.Partition(in.records[i].Key, partitions), &in.records[i])
		if added = append(added, in.records[i].Record); r.IntN(10) == 0 || crash[i] || i == len(in.records)-1 {
			d.AddRaw("in", added...)
			added = nil
		}
		if crash[i] {
			d.Crash()
		}
	}
	d.Commit()
	o.compare(t, d, built, partitions)
}

// stores makes the stores of a setting; the driver calls it again for a task whose store it has
// closed.
func (s setting) stores(t *testing.T, r *rand.Rand) func(string, int32) (stores.Store, error) {
	switch s.store {
	case "lossy":
		left := map[string]stores.Store{}
		return func(changelog string, partition int32) (stores.Store, error) {
			name := fmt.Sprint(changelog, partition)
			if left[name] == nil {
				left[name] = memory.New()
			}
			f, err := storetest.NewFaulty(left[name])
			return &lossy{Faulty: f, crashed: func() (err error) {
				left[name], err = f.Crash(r.IntN(f.Unflushed() + 1))
				return err
			}}, err
		}
	case "rocksdb":
		dir := t.TempDir()
		return func(changelog string, partition int32) (stores.Store, error) {
			s, err := rocksdb.Open(filepath.Join(dir, fmt.Sprint(changelog, partition)), rocksdb.Options{})
			if err != nil {
				return nil, err
			}
			return s, nil
		}
	}
	return nil
}

// lossy is a store that crashes where it is closed.
type lossy struct {
	*storetest.Faulty
	crashed func() error
}

func (l *lossy) Close() error { return l.crashed() }

// A commit that fails is as if nothing since the last one had happened: after opening anew the
// results are the same.
func TestAbortedCommits(t *testing.T) {
	r := rand.New(rand.NewPCG(*seed, 7))
	p := randomProgram(r, 1)
	in := randomStream(t, r, p, 200)
	built := p.build(t)
	o := newOracle(p, in)
	d := enginetest.NewWith(t, built.plan, enginetest.Options{Manual: true, Start: in.clock, Ahead: in.ahead,
		KeepStores: true, CheckpointEvery: time.Hour})
	for i := range in.records {
		o.record(0, &in.records[i])
		d.AddRaw("in", in.records[i].Record)
		switch {
		case i%30 == 29:
			d.FailCommits(task.ErrAborted)
			require.ErrorIs(t, d.TryCommit(), task.ErrAborted)
			d.Crash()
		case i%20 == 19:
			d.Commit()
		}
	}
	d.Commit()
	o.compare(t, d, built, 1)
}
