// Package aggregatetest puts aggregates through the laws that windows rely on. It is meant for the
// tests of aggregates that users define with aggregates.Custom, and is what the built-in ones are
// tested with:
//
//	aggregatetest.Laws[Tick, float64]{
//		Project: func(g aggregates.Rows[Tick]) float64 { return aggregates.Custom(g, spread, bid) },
//		Row:     func(r *rand.Rand) Tick { return Tick{Bid: float64(r.IntN(100))} },
//	}.Check(t)
//
// A law that does not hold fails the test with the seed that shows it. Everything runs in the
// goroutine of the test.
package aggregatetest

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
)

// Laws is aggregates and the rows to try them on.
//
// Rows get ascending sequence numbers, and times in any order, some of them equal. They are split
// over states at random, and the states are merged in any order. Results are compared, and bytes
// where the same must have come about in the same way.
type Laws[T, R any] struct {
	// Project calls the aggregates, as the projection of a plan does.
	Project func(g aggregates.Rows[T]) R
	// Row makes a row up: with nulls, equal values and extremes where the column can have them.
	Row func(r *rand.Rand) T
	// Equal compares results; nil is assert.ObjectsAreEqual. Those that round, such as sums of
	// floats, need one.
	Equal func(a, b R) bool
	// NoMerge leaves out the laws of merging.
	NoMerge bool
	// Ordered says that the result depends on the order of rows, so that only the last of them can
	// be undone: else any can.
	Ordered bool
	// Runs is how many times each law is tried; 0 is 200. Rows is how many rows there are at most;
	// 0 is 16. Seed is that of a run that failed; 0 makes one up.
	Runs, Rows int
	Seed       uint64
}

// rowsOf is a group for projections.
type rowsOf[T any] struct{ r *aggregates.Recorder[T] }

func (g rowsOf[T]) Recorder() *aggregates.Recorder[T] { return g.r }

// trial is the laws on one program, and the rows of one run.
type trial[T, R any] struct {
	Laws[T, R]
	t       testing.TB
	rand    *rand.Rand
	program *aggregates.Program[T]
	reader  *aggregates.Recorder[T]
	cells   []aggregates.Cell
	rows    []row[T]
	undoes  bool
	refused bool // an Add returned an error: what a state holds then depends on the order
}

type row[T any] struct {
	row T
	at  aggregates.At
}

// Check fails the test where a law does not hold. Laws of undoing are checked if all aggregates can
// undo: of programs that are recorded for it, as those of streams may keep less.
func (l Laws[T, R]) Check(t testing.TB) {
	t.Helper()
	seed := l.Seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("aggregatetest: Seed: %d", seed)
	for _, needs := range []aggregates.Needs{{}, {Merge: true}, {Undo: true}, {Merge: true, Undo: true}} {
		if needs.Merge && l.NoMerge {
			continue
		}
		p, err := aggregates.Record(func(r *aggregates.Recorder[T]) { l.Project(rowsOf[T]{r}) }, needs)
		require.NoError(t, err)
		if needs.Undo && p.CheckUndo() != nil {
			continue
		}
		c := &trial[T, R]{Laws: l, t: t, rand: rand.New(rand.NewPCG(seed, 0)), program: p,
			reader: aggregates.NewReader(p), undoes: needs.Undo, cells: make([]aggregates.Cell, p.Cells())}
		if c.Equal == nil {
			c.Equal = func(a, b R) bool { return assert.ObjectsAreEqual(a, b) }
		}
		if c.Runs == 0 {
			c.Runs = 200
		}
		if c.Rows == 0 {
			c.Rows = 16
		}
		for range c.Runs {
			c.run()
		}
	}
}

// run makes rows up and tries every law on them.
func (c *trial[T, R]) run() {
	c.t.Helper()
	c.rows, c.refused = c.rows[:0], false
	seq := int64(0)
	for range c.rand.IntN(c.Rows + 1) {
		seq += 1 + c.rand.Int64N(3)
		c.rows = append(c.rows, row[T]{c.Row(c.rand), aggregates.At{Time: c.rand.Int64N(int64(c.Rows)), Seq: seq}})
	}
	c.storing()
	if c.undoes {
		c.undoing()
	}
	if c.program.Mergeable() {
		c.zero()
		c.merging()
		c.associativity()
	}
}

// storing: what Append wrote Load reads, and it goes on from there as if nothing had been; equal
// histories are equal bytes.
func (c *trial[T, R]) storing() {
	c.t.Helper()
	half := c.rand.IntN(len(c.rows) + 1)
	s := c.added(c.rows[:half])
	stored := c.bytes(s)
	require.Equal(c.t, stored, c.bytes(c.added(c.rows[:half])), "equal histories are equal bytes")
	loaded := aggregates.NewState(c.program)
	require.NoError(c.t, c.program.Load(loaded, stored), "loading what was stored")
	require.Equal(c.t, stored, c.bytes(loaded), "stored, loaded and stored again")
	c.same(s, loaded, "a state and what was loaded of it")
	for _, r := range c.rows[half:] {
		c.add(s, r)
		c.add(loaded, r)
	}
	c.same(s, loaded, "a state and what was loaded of it, after the same rows")
	if len(stored) > 0 {
		require.Error(c.t, c.program.Load(loaded, stored[:c.rand.IntN(len(stored))]), "loading a row cut short")
	}
	require.Error(c.t, c.program.Load(loaded, append(stored, 0)), "loading a row that is too long")
}

// undoing: Undo of a row gives the state of the others, as if it had never been, down to none; and
// it goes on from there.
func (c *trial[T, R]) undoing() {
	c.t.Helper()
	s := c.added(c.rows)
	if c.refused {
		return
	}
	rows := slices.Clone(c.rows)
	for len(rows) > 0 {
		i := len(rows) - 1
		if !c.Ordered {
			i = c.rand.IntN(len(rows))
		}
		c.eval(rows[i])
		require.NoError(c.t, c.program.Undo(s, c.cells, rows[i].at))
		rows = slices.Delete(rows, i, i+1)
		if c.rand.IntN(4) == 0 {
			s = c.loaded(c.bytes(s))
		}
		left := c.added(rows)
		if c.refused {
			return
		}
		c.same(left, s, "the rows that are left, and all with one undone")
	}
	for _, r := range c.rows {
		c.add(s, r)
	}
	c.same(c.added(c.rows), s, "all rows added, and again after all were undone")
}

// zero: merging with nothing changes nothing, on either side.
func (c *trial[T, R]) zero() {
	c.t.Helper()
	s := c.added(c.rows)
	before := c.bytes(s)
	c.merge(s, aggregates.NewState(c.program))
	require.Equal(c.t, before, c.bytes(s), "nothing merged into a state")
	into := aggregates.NewState(c.program)
	c.merge(into, s)
	c.same(s, into, "a state, and the same merged into nothing")
}

// merging: states of a split of the rows, merged in any order, are the state of all rows; and it
// goes on from there.
func (c *trial[T, R]) merging() {
	c.t.Helper()
	parts := c.split(1 + c.rand.IntN(4))
	last := len(c.rows)
	merged := aggregates.NewState(c.program)
	for _, i := range c.rand.Perm(len(parts)) {
		c.merge(merged, parts[i])
	}
	all := c.added(c.rows)
	if c.refused {
		return
	}
	c.same(all, merged, "all rows added, and merged from parts")
	if last > 0 {
		next := row[T]{c.Row(c.rand), aggregates.At{Time: c.rows[last-1].at.Time, Seq: c.rows[last-1].at.Seq + 1}}
		c.add(all, next)
		c.add(merged, next)
		c.same(all, merged, "all rows added, and merged from parts, after one more row")
	}
}

// associativity: (a+b)+c is a+(b+c).
func (c *trial[T, R]) associativity() {
	c.t.Helper()
	left, right := c.split(3), []aggregates.State(nil)
	for _, s := range left {
		right = append(right, c.loaded(c.bytes(s)))
	}
	c.merge(left[0], left[1])
	c.merge(left[0], left[2])
	c.merge(right[1], right[2])
	c.merge(right[0], right[1])
	if !c.refused {
		c.same(left[0], right[0], "(a+b)+c and a+(b+c)")
	}
}

// split adds each row to one of n states.
func (c *trial[T, R]) split(n int) []aggregates.State {
	c.t.Helper()
	parts := make([]aggregates.State, n)
	for i := range parts {
		parts[i] = aggregates.NewState(c.program)
	}
	for _, r := range c.rows {
		c.add(parts[c.rand.IntN(n)], r)
	}
	return parts
}

func (c *trial[T, R]) added(rows []row[T]) aggregates.State {
	c.t.Helper()
	s := aggregates.NewState(c.program)
	for _, r := range rows {
		c.add(s, r)
	}
	return s
}

// add adds a row; if that is refused the state must be as it was.
func (c *trial[T, R]) add(s aggregates.State, r row[T]) {
	c.t.Helper()
	before := c.bytes(s)
	c.eval(r)
	if err := c.program.Add(s, c.cells, r.at); err != nil {
		c.refused = true
		require.Equal(c.t, before, c.bytes(s), "a state that refused a row: %v", err)
	}
}

func (c *trial[T, R]) eval(r row[T]) {
	c.t.Helper()
	require.NoError(c.t, c.program.Eval(c.cells, &r.row))
}

// merge merges src into dst; src must stay as it is, also when dst goes on.
func (c *trial[T, R]) merge(dst, src aggregates.State) {
	c.t.Helper()
	before := c.bytes(src)
	require.NoError(c.t, c.program.Merge(dst, src))
	require.Equal(c.t, before, c.bytes(src), "a state after it was merged into another")
}

func (c *trial[T, R]) loaded(b []byte) aggregates.State {
	c.t.Helper()
	s := aggregates.NewState(c.program)
	require.NoError(c.t, c.program.Load(s, b))
	return s
}

func (c *trial[T, R]) bytes(s aggregates.State) []byte {
	c.t.Helper()
	b, err := c.program.Append(nil, s)
	require.NoError(c.t, err)
	require.NotPanics(c.t, func() { s.Bytes() })
	return b
}

// same fails if the results of two states differ.
func (c *trial[T, R]) same(want, got aggregates.State, what string) {
	c.t.Helper()
	if a, b := c.result(want), c.result(got); !c.Equal(a, b) {
		require.Equal(c.t, a, b, "law broken: "+what)
		require.Fail(c.t, "law broken: "+what, "not Equal: %v and %v", a, b)
	}
}

func (c *trial[T, R]) result(s aggregates.State) R {
	c.t.Helper()
	c.reader.Reset(s)
	r := c.Project(rowsOf[T]{c.reader})
	require.NoError(c.t, c.reader.Done())
	return r
}
