package engine_test

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/topology"
)

// compare holds outputs against the driver's, and the log against what it must be.
func (s *simulation) compare() {
	d := enginetest.NewWith(s.t, s.plan.plan, enginetest.Options{Partitions: s.partitions, Start: s.fed[0].at,
		Ahead: time.Hour})
	now := s.fed[0].at
	for _, batch := range s.fed {
		d.Advance(batch.at.Sub(now))
		now = batch.at
		var records []enginetest.Record
		for _, r := range batch.records {
			records = append(records, enginetest.Record{Key: r.Key, Value: r.Value, Timestamp: r.Timestamp})
		}
		d.AddRaw(batch.topic, records...)
	}
	for _, out := range s.plan.outputs {
		var allWant, allHave []enginetest.Record
		for p, got := range committed(s.t, s.cluster.Config(), out.topic) {
			want := d.Partition(out.topic, int32(p))
			s.rows += len(want)
			var have []enginetest.Record
			for _, r := range got {
				have = append(have, enginetest.Record{Key: r.Key, Value: r.Value, Timestamp: r.Timestamp})
			}
			if s.exact() {
				require.Equal(s.t, simRows(want, out.last), simRows(have, out.last), "%s, partition %d", out.topic, p)
			}
			allWant, allHave = append(allWant, want...), append(allHave, have...)
		}
		if !s.exact() {
			require.NoError(s.t, out.least(allWant, allHave), out.topic)
		}
	}
	for _, sub := range s.plan.plan.Subs {
		changelog := topology.ChangelogName(s.plan.plan.Name, sub.Name)
		for p, records := range committed(s.t, s.cluster.Config(), changelog) {
			check := s.checkLog
			if !s.exact() {
				check = s.checkLooseLog
			}
			s.commits += check(changelog, int32(p), records)
		}
	}
}

// lastRows is the last row of each key that has one, in any order and without times.
func lastRows(records []enginetest.Record) (last []enginetest.Record) {
	rows := map[string]enginetest.Record{}
	for _, r := range records {
		if rows[string(r.Key)] = r; r.Value == nil {
			delete(rows, string(r.Key))
		}
	}
	for _, r := range rows {
		r.Timestamp = 0
		last = append(last, r)
	}
	return last
}

// simRows is rows in an order of their own, as text: all of them, with their times, or the last of
// each key.
func simRows(records []enginetest.Record, last bool) []string {
	if last {
		records = lastRows(records)
	}
	slices.SortFunc(records, func(a, b enginetest.Record) int {
		return cmp.Or(bytes.Compare(a.Key, b.Key), bytes.Compare(a.Value, b.Value),
			cmp.Compare(a.Timestamp, b.Timestamp))
	})
	text := make([]string, len(records))
	for i, r := range records {
		text[i] = fmt.Sprintf("%q %s %d", r.Key, r.Value, r.Timestamp)
	}
	return text
}

// checkLog holds a changelog against its invariants, and against the stores that were closed well:
// commits are numbered without a gap, which no row of a fenced task can keep to; positions never go
// back; and a store holds what the log says.
func (s *simulation) checkLog(changelog string, partition int32, records []task.Record) (commits int) {
	var last task.Progress
	open := 0 // rows since the last commit record
	for _, r := range records {
		if open++; !bytes.Equal(r.Key, task.ProgressKey) {
			continue
		}
		p, err := task.ParseProgress(r.Value)
		require.NoError(s.t, err)
		require.Equal(s.t, last.Sequence+1, p.Sequence, "%s/%d: the commit at offset %d\n%s", changelog, partition,
			r.Offset, around(records, r.Offset))
		require.GreaterOrEqual(s.t, p.Rows, last.Rows, "%s/%d: rows at offset %d", changelog, partition, r.Offset)
		for topic, at := range last.Inputs {
			require.GreaterOrEqual(s.t, p.Inputs[topic], at, "%s/%d: %s at offset %d", changelog, partition, topic,
				r.Offset)
		}
		for name, at := range last.StreamTimes {
			require.GreaterOrEqual(s.t, p.StreamTimes[name], at, "%s/%d: stream time of %s at offset %d", changelog,
				partition, name, r.Offset)
		}
		last, open = *p, 0
		commits++
	}
	require.Zero(s.t, open, "%s/%d: rows without a commit record", changelog, partition)
	s.checkStores(changelog, partition, records)
	return commits
}

// around is what a changelog holds at an offset and before it, as text.
func around(records []task.Record, offset int64) string {
	var text strings.Builder
	for _, r := range records {
		if r.Offset < offset-20 || r.Offset > offset {
			continue
		}
		fmt.Fprintf(&text, "%d at %v: %q", r.Offset, time.UnixMilli(int64(r.Timestamp)).UTC(), r.Key)
		if p, err := task.ParseProgress(r.Value); err == nil && bytes.Equal(r.Key, task.ProgressKey) {
			fmt.Fprintf(&text, " commit %d, inputs %v", p.Sequence, p.Inputs)
		}
		text.WriteString("\n")
	}
	return text.String()
}

func (s *simulation) checkStores(changelog string, partition int32, records []task.Record) {
	for _, m := range s.members {
		kept := m.disk.left(changelog, partition)
		if kept == nil {
			continue
		}
		if p := task.StoredProgress(kept); p != nil && topology.ChangelogName(p.Log.Application,
			p.Log.Sub) != changelog || p != nil && p.Log.Partition != partition {
			continue // it changed places with another, and nobody has opened it since
		}
		at, ok, err := task.NewRestorer(kept, task.LogID{}).Position()
		require.NoError(s.t, err)
		if !ok {
			continue
		}
		restored := memory.New()
		here := records // others may have gone on
		for len(here) > 0 && here[len(here)-1].Offset >= at {
			here = here[:len(here)-1]
		}
		require.NoError(s.t, task.NewRestorer(restored, task.LogID{}).Apply(here, at))
		require.Equal(s.t, storedRows(s.t, restored), storedRows(s.t, kept), "%s/%d: the store of member %d at %d",
			changelog, partition, m.name, at)
		require.NoError(s.t, restored.Close())
	}
}

// storedRows is what a store holds, without what a task notes there for itself: the index of
// sessions, whose rows have no values, and since when its position stands, which is behind that.
func storedRows(t testing.TB, s stores.Store) map[string]string {
	rows := map[string]string{}
	for e, err := range s.Scan(nil, nil) {
		require.NoError(t, err)
		if bytes.Equal(e.Key, stores.MetaKey("position")) {
			e.Value = e.Value[:8]
		}
		if len(e.Value) > 0 {
			rows[fmt.Sprintf("%x", e.Key)] = fmt.Sprintf("%x", e.Value)
		}
	}
	return rows
}
