package engine_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/engine/internal/task"
)

// simGuarantee draws the guarantee of a seed, from numbers of its own, so that older seeds stay
// what they were: one in five runs at least once, one in four of those without any fault.
func simGuarantee(seed uint64) (g engine.Guarantee, calm bool) {
	r := rand.New(rand.NewPCG(seed, 11))
	if r.IntN(5) > 0 && !*simLeast {
		return engine.ExactlyOnce, false
	}
	return engine.AtLeastOnce, r.IntN(4) == 0
}

// exact says that results must be the driver's: exactly once always, at least once where nothing
// goes wrong.
func (s *simulation) exact() bool { return s.guarantee == engine.ExactlyOnce || s.calm }

// simLeastRule holds the rows of a topic against the driver's, where a commit that was cut short
// lets records come again, on state that may have some of them already.
type simLeastRule func(want, have []enginetest.Record) error

// leastSame is rows that do not depend on how often a record comes: there are the driver's, some
// more than once, and no others.
func leastSame(want, have []enginetest.Record) error {
	return simDifference(want, have, func(string) bool { return false })
}

// leastPairs is joins of streams: all their rows. There may be others of rows that are alone, as
// one that was joined is alone when it comes again after its partner is gone.
func leastPairs(want, have []enginetest.Record) error {
	return simDifference(want, have, func(row string) bool {
		return strings.Contains(row, `"Text":"- `) ||
			strings.Contains(row, ` -"`)
	})
}

// simDifference is an error if not all rows of want are in have, or if others are that may not be.
func simDifference(want, have []enginetest.Record, may func(string) bool) error {
	wanted, missing := map[string]bool{}, map[string]bool{}
	for _, row := range simRows(want, false) {
		wanted[row], missing[row] = true, true
	}
	for _, row := range simRows(have, false) {
		if delete(missing, row); !wanted[row] && !may(row) {
			return fmt.Errorf("a row that cannot be: %s", row)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("rows are missing: %q", slices.Sorted(maps.Keys(missing)))
	}
	return nil
}

// leastLatest is tables, which come to the same end however often their changes come: the last row
// of each key is the driver's.
func leastLatest(want, have []enginetest.Record) error {
	if w, h := simRows(want, true), simRows(have, true); !slices.Equal(w, h) {
		return fmt.Errorf("the last rows are %q, not %q", h, w)
	}
	return nil
}

// leastCounted is finals of aggregates: leastChanged, and there are no other windows.
func leastCounted(want, have []enginetest.Record) error {
	known := map[string]bool{}
	for _, r := range want {
		known[string(r.Key)] = true
	}
	for _, r := range have {
		if !known[string(r.Key)] {
			return fmt.Errorf("a row that cannot be: %q %s", r.Key, r.Value)
		}
	}
	return leastChanged(want, have)
}

// leastChanged is changes of aggregates. Each window of a group has had a row with all its records,
// some of which may be in it twice, and with no others. There may be sessions that nobody else
// knows: one was put out that has grown since, by a commit that was cut short.
func leastChanged(want, have []enginetest.Record) error {
	known, err := fullest(want)
	if err != nil {
		return err
	}
	most, err := fullest(have)
	if err != nil {
		return err
	}
	for _, row := range lastRows(want) {
		w, m := known[string(row.Key)], most[string(row.Key)]
		if m.Rows < w.Rows || m.Sum < w.Sum || m.Low != w.Low || m.High != w.High {
			return fmt.Errorf("row %q is %+v at most, want %+v", row.Key, m, w)
		}
	}
	return nil
}

// fullest is by key the row that has counted most records.
func fullest(rows []enginetest.Record) (map[string]simStat, error) {
	most := map[string]simStat{}
	for _, r := range rows {
		var s simStat
		if r.Value == nil {
			continue
		}
		if err := json.Unmarshal(r.Value, &s); err != nil {
			return nil, err
		}
		if m, ok := most[string(r.Key)]; !ok || s.Rows >= m.Rows {
			most[string(r.Key)] = s
		}
	}
	return most, nil
}

// leastTotal is totals of finals by what they have counted, which may be more than in the driver's:
// there are as many in all, or more.
func leastTotal(want, have []enginetest.Record) error {
	var totals [2]int64
	for i, rows := range [][]enginetest.Record{want, have} {
		for _, r := range lastRows(rows) {
			var s simStat
			if err := json.Unmarshal(r.Value, &s); err != nil {
				return err
			}
			totals[i] += s.Rows
		}
	}
	if totals[1] < totals[0] {
		return fmt.Errorf("%d finals are in the totals, want %d", totals[1], totals[0])
	}
	return nil
}

// leastGroups is groups of a table: each that has rows was put out. Its numbers may be anything, as
// a change that comes again is taken out of its old group again.
func leastGroups(want, have []enginetest.Record) error {
	seen := map[string]bool{}
	for _, r := range have {
		seen[string(r.Key)] = true
	}
	for _, r := range lastRows(want) {
		if !seen[string(r.Key)] {
			return fmt.Errorf("group %q is missing", r.Key)
		}
	}
	return nil
}

// checkLooseLog holds a changelog without transactions against what it is all the same: no commit
// is skipped.
func (s *simulation) checkLooseLog(changelog string, partition int32, records []task.Record) (commits int) {
	last := uint64(0)
	for _, r := range records {
		if !bytes.Equal(r.Key, task.ProgressKey) {
			continue
		}
		p, err := task.ParseProgress(r.Value)
		require.NoError(s.t, err)
		require.LessOrEqual(s.t, p.Sequence, last+1, "%s/%d: the commit at offset %d", changelog, partition, r.Offset)
		last = max(last, p.Sequence)
		commits++
	}
	return commits
}
