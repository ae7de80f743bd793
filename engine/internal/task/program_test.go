package task_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// program is a random program: a filter, a step that changes rows, a grouping, windows and
// aggregates.
type program struct {
	kinds                 []form // each once
	grace                 int64  // ms
	idle                  int64  // ms without records after which windows close by the clock; 0: they do not
	finals, changes, late bool   // what is put out
	filter                bool
	shape                 string // "", map or flatmap
	group                 string // key, number, both or all
	parts                 []part
	having                uint32 // one row in so many does not pass; 0: all do
}

// outcome is a result row: all results in one text.
type outcome struct {
	Group      string
	Start, End time.Time
	Line       string
}

func randomProgram(r *rand.Rand, partitions int32) *program {
	p := &program{filter: r.IntN(2) == 0, shape: pick(r, "", "map", "flatmap"), group: "key"}
	if partitions == 1 {
		p.group = pick(r, "key", "key", "number", "both", "all") // rows of a group stay together whatever the key
	}
	for range 1 + r.IntN(4) {
		if f := randomForm(r); !slices.ContainsFunc(p.kinds, func(g form) bool { return g.String() == f.String() }) {
			p.kinds = append(p.kinds, f)
		}
	}
	p.grace = pick[int64](r, 0, 0, 1, 10, 999, 3000, 100_000)
	p.idle = pick[int64](r, 0, 0, 500, 70_000)
	p.finals, p.changes, p.late = r.IntN(4) > 0, r.IntN(2) == 0, r.IntN(2) == 0
	if !p.finals || slices.ContainsFunc(p.kinds, func(f form) bool { return f.what == "all" }) {
		p.changes = true
	}
	all := slices.DeleteFunc(parts(), func(one part) bool {
		return slices.ContainsFunc(refusers, func(r refuser) bool { return r.name == one.name })
	})
	if p.merges() {
		all = mergeable(all)
	}
	for _, i := range r.Perm(len(all))[:1+r.IntN(6)] {
		p.parts = append(p.parts, all[i])
	}
	// no sums by window, so none with a bound
	sliding := slices.ContainsFunc(p.kinds, func(f form) bool { return f.what == "sliding" })
	if refusing := refusingParts(); r.IntN(3) == 0 && !sliding { // few among all, so they are picked for themselves
		p.parts = append(p.parts, pick(r, refusing...))
	}
	p.having = pick[uint32](r, 0, 0, 2, 3)
	return p
}

// passes is the condition of Having: it jumps with each change of a row, and sees nothing that may
// be rounded.
func (p *program) passes(line string) bool {
	h := fnv.New32a()
	h.Write([]byte(rough.ReplaceAllString(line, "")))
	return p.having == 0 || h.Sum32()%p.having != 0
}

// merges says that rows are put together from others.
func (p *program) merges() bool {
	return slices.ContainsFunc(p.kinds, func(f form) bool {
		return f.what == "session" || f.what == "sliding" || f.what == "hopping" && f.size != f.advance && !p.changes
	})
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func (p *program) String() string {
	names := make([]string, len(p.parts))
	for i := range p.parts {
		names[i] = p.parts[i].name
	}
	return fmt.Sprintf("%v grace %d idle %d finals %v changes %v late %v having %d filter %v shape %q group by %s: %s",
		p.kinds, p.grace, p.idle, p.finals, p.changes, p.late, p.having, p.filter, p.shape, p.group,
		strings.Join(names, ", "))
}

// What the program's functions do: the plan calls them, and the oracle does.

func keep(e *event) (bool, error) {
	switch e.Small {
	case 7:
		return true, errors.New("filter on 7")
	case 8:
		panic("filter on 8")
	}
	return e.Small%3 != 0, nil
}

func mapped(e *event) (event, error) {
	if e.Small == 10 {
		return *e, errors.New("map on 10")
	}
	m := *e
	m.Name += "!"
	m.Price *= 2
	return m, nil
}

func flattened(e *event) ([]event, error) {
	switch e.Small {
	case 11:
		panic("flatmap on 11")
	case 12:
		return []event{*e}, errors.New("flatmap on 12")
	}
	var out []event
	for i := range e.Small & 3 {
		m := *e
		m.Big += uint64(i)
		m.Name = fmt.Sprint(m.Name, i)
		out = append(out, m)
	}
	return out, nil
}

// pairOf is a composite group key.
type pairOf struct {
	Group string
	Odd   int64
}

func byKey(e *event) string {
	if e.Small == 22 {
		panic("group on 22")
	}
	return e.Key
}

// negative numbers sort after the others: keys are ordered as bytes
func byNumber(e *event) int64 { return int64(e.Small % 5) }
func byBoth(e *event) pairOf  { return pairOf{e.Group, int64(e.Big & 1)} }

// groupBytes is the group's key on the wire; the error is what a function of the user's gives.
func (p *program) groupBytes(e *event) (key []byte, err error) {
	switch {
	case p.group == "number":
		return binary.BigEndian.AppendUint64(nil, uint64(int64(e.Small%5))), nil
	case p.group == "both":
		return fmt.Appendf(nil, `{"Group":%q,"Odd":%d}`, e.Group, e.Big&1), nil
	case e.Small == 22 && p.group == "key":
		return nil, errors.New("group on 22")
	}
	if p.group == "all" {
		return []byte{}, nil
	}
	return []byte(e.Key), nil
}

const lateTopic = "late"

// running is a program as a plan, with its topics by kind of windows.
type running struct {
	plan           *topology.Plan
	finals, change map[int]string
}

func (p *program) build(t testing.TB) *running { return p.buildAmong(t, nil, nil) }

// buildAmong declares other steps before the program's and behind them.
func (p *program) buildAmong(t testing.TB, before, behind []func(*dsl.StreamOf[event])) *running {
	b := dsl.New("random")
	s := dsl.Stream[event](b, "in")
	in := s
	for _, declare := range before {
		declare(in)
	}
	if p.filter {
		s = s.Filter(keep)
	}
	switch p.shape {
	case "map":
		s = dsl.Map(s, mapped)
	case "flatmap":
		s = dsl.FlatMap(s, flattened)
	}
	out := &running{finals: map[int]string{}, change: map[int]string{}}
	switch p.group {
	case "key":
		aggregate(t, p, dsl.GroupBy(s, byKey).AssumeCopartitioned(), out)
	case "number":
		aggregate(t, p, dsl.GroupBy(s, byNumber).AssumeCopartitioned(), out)
	case "all":
		aggregate(t, p, dsl.GroupAll(s), out)
	default:
		aggregate(t, p, dsl.GroupBy(s, byBoth).AssumeCopartitioned(), out)
	}
	for _, declare := range behind {
		declare(in)
	}
	var err error
	out.plan, err = b.Build()
	require.NoError(t, err)
	mayGo(out.plan, "all", "visits", "kept", "pairs", "in-table", "in-table-2", "in-suppress")
	return out
}

// mayGo lets steps of plans before go, with what they hold.
func mayGo(plan *topology.Plan, names ...string) {
	for _, s := range plan.Subs {
		s.Dropped = names
	}
}

func aggregate[K any](t testing.TB, p *program, g *dsl.GroupedOf[K, event], out *running) {
	kinds := map[windows.Kind]int{}
	var spec windows.Spec
	for i, f := range p.kinds {
		if kinds[f.spec().Kinds()[0]] = i; i == 0 {
			spec = f.spec()
		}
		spec = spec.And(f.spec()) // the first twice: each kind counts once (WIN-2)
	}
	if spec = spec.Grace(time.Duration(p.grace) * time.Millisecond); p.idle > 0 {
		spec = spec.CloseIdle(time.Duration(p.idle) * time.Millisecond)
	}
	w := dsl.Aggregate(g, spec, func(g dsl.Group[K, event]) outcome {
		texts := make([]string, len(p.parts))
		for i, part := range p.parts {
			texts[i] = part.name + "=" + part.live(aggregates.Rows[event](g))
		}
		return outcome{Group: fmt.Sprint(g.Key()), Start: g.WindowStart(), End: g.WindowEnd(),
			Line: strings.Join(texts, " ")}
	})
	if p.having > 0 {
		w.Having(func(row *outcome) bool { return p.passes(row.Line) })
	}
	name := func(of map[int]string, suffix string) func(windows.Kind) string {
		return func(k windows.Kind) string {
			of[kinds[k]] = fmt.Sprint("out", kinds[k], suffix)
			return of[kinds[k]]
		}
	}
	if p.finals {
		w.Final().Named(name(out.finals, "_final"))
	}
	if p.changes {
		w.Changes().Named(name(out.change, "_changes"))
	}
	if p.late {
		w.LateTo(lateTopic)
	}
}
