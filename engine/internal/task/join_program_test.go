package task_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// joinEvent is the row of join programs. Two columns tell rows apart: N is unique in its topic.
type joinEvent struct {
	K    string `ashi:"k,key"`
	N    int64
	Skip int64
	Pad  string
}

// joined is a result: the columns are nil where a side is absent.
type joined struct {
	K           string
	Left, Right *int64
}

// joinProgram is a random plan with a join.
type joinProgram struct {
	kind                 string // inner, left, right, outer, as-of, left as-of
	before, after, grace int64
	steps                [2]string // above each side: "", filter, map, repartition
}

var joinKinds = []string{"inner", "left", "right", "outer", "as-of", "left as-of"}

func (p *joinProgram) asOf() bool { return p.kind == "as-of" || p.kind == "left as-of" }

func (p *joinProgram) keeps(side int) bool {
	return p.kind == "outer" || side == 0 && (p.kind == "left" || p.kind == "left as-of") || side == 1 &&
		p.kind == "right"
}

func (p *joinProgram) String() string {
	return fmt.Sprintf("%s join, before %d after %d grace %d, steps %q", p.kind, p.before, p.after, p.grace, p.steps)
}

func randomJoin(r *rand.Rand) *joinProgram {
	p := &joinProgram{kind: pick(r, joinKinds...), before: pick[int64](r, 0, 0, 1, 50, 999, 5000, 1_000_000),
		after: pick[int64](r, 0, 0, 1, 50, 999, 5000, 1_000_000), grace: pick[int64](r, 0, 0, 1, 20, 1000, 30_000)}
	if p.asOf() {
		p.after = 0
	}
	for side := range p.steps {
		p.steps[side] = pick(r, "", "", "filter", "map")
	}
	return p
}

// pairOf is the joiner. It fails for some pairs, and for some rows alone.
func pairUp(l, r *joinEvent) (out joined, err error) {
	switch {
	case l != nil && r != nil && l.K != r.K:
		return out, fmt.Errorf("keys %q and %q", l.K, r.K)
	case l != nil && l.N%31 == 30:
		return out, errors.New("left rows of 30")
	case r != nil && r.N%37 == 36:
		panic("right rows of 36")
	}
	if l != nil {
		out.K, out.Left = l.K, &l.N
	}
	if r != nil {
		out.K, out.Right = r.K, &r.N
	}
	return out, nil
}

func (p *joinProgram) span() dsl.Span {
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	return dsl.Within(ms(p.before), ms(p.after)).Grace(ms(p.grace))
}

// addJoin adds the join to a plan.
func (p *joinProgram) addJoin(left, right *dsl.StreamOf[joinEvent]) *dsl.StreamOf[joined] {
	f := map[string]func(*dsl.StreamOf[joinEvent], *dsl.StreamOf[joinEvent], dsl.Span,
		func(*joinEvent, *joinEvent) (joined, error)) *dsl.StreamOf[joined]{
		"inner": dsl.Join[joinEvent, joinEvent, joined], "left": dsl.LeftJoin[joinEvent, joinEvent, joined],
		"right": dsl.RightJoin[joinEvent, joinEvent, joined], "outer": dsl.OuterJoin[joinEvent, joinEvent, joined],
		"as-of": dsl.AsOf[joinEvent, joinEvent, joined], "left as-of": dsl.LeftAsOf[joinEvent, joinEvent, joined]}
	return f[p.kind](left, right, p.span(), pairUp)
}

var joinTopics = [2]string{"left", "right"}

func skips(e *joinEvent) bool { return e.Skip%5 == 4 }

func (p *joinProgram) build(t testing.TB) *topology.Plan {
	b := dsl.New("joins")
	var sides [2]*dsl.StreamOf[joinEvent]
	for side, topic := range joinTopics {
		s := dsl.Stream[joinEvent](b, topic)
		switch p.steps[side] {
		case "filter":
			s = s.Filter(func(e *joinEvent) (bool, error) { return !skips(e), nil })
		case "map":
			s = dsl.Map(s, func(e *joinEvent) (joinEvent, error) {
				if skips(e) {
					return *e, errors.New("map of a row to skip")
				}
				return *e, nil
			})
		case "repartition":
			s = dsl.PartitionBy(s, func(e *joinEvent) string { return e.K + "'" })
		}
		sides[side] = s
	}
	p.addJoin(sides[0], sides[1]).To("out")
	plan, err := b.Build()
	require.NoError(t, err)
	return plan
}

// joinInput is a record of a side.
type joinInput struct {
	side int
	enginetest.Record
	row *joinEvent // nil: the value is null or no row
}

// randomJoinInput is records of both sides: of a few keys, or many; out of order within grace and
// beyond, at equal times, with jumps of years.
func randomJoinInput(t testing.TB, r *rand.Rand, p *joinProgram, n int) []joinInput {
	keys := pick(r, 1, 2, 20)
	step := 1 + pick(r, p.before+p.after, p.grace, 10)/int64(1+r.IntN(30))
	now := pick[int64](r, 0, 1_700_000_000_000)
	pad := pick(r, 0, 0, 0, 3000)
	var records []joinInput
	for i := range n {
		at := now
		switch x := r.IntN(200); {
		case x < 40:
			at = max(0, now-r.Int64N(1+p.grace))
		case x < 60:
			at = max(0, now-r.Int64N(2*(p.before+p.after+p.grace)+5*step))
		case x == 60:
			now += pick(r, p.before+1, p.after+p.grace+1, 3*(p.before+p.after+p.grace+100))
			at = now
		case x == 61 && i > n/2:
			now += 100_000_000_000
			at = now
		case x < 160:
			now += r.Int64N(2 * step)
			at = now
		}
		e := &joinEvent{K: fmt.Sprintf("k%d", r.IntN(keys)), N: int64(i), Skip: r.Int64N(20),
			Pad: string(make([]byte, pad))}
		records = append(records, joinRecord(t, r.IntN(2), e, at))
		rec := &records[len(records)-1]
		switch r.IntN(60) {
		case 0:
			rec.Key = nil
		case 1:
			rec.Key = []byte{}
		case 2:
			rec.Value, rec.row = nil, nil
		case 3:
			rec.Value, rec.row = []byte("{"), nil
		}
		if rec.row != nil {
			rec.row.K = string(rec.Key) // the key column comes from the key, if there is one
			if rec.Key == nil {
				rec.row.K = e.K
			}
		}
	}
	return records
}

func joinRecord(t testing.TB, side int, e *joinEvent, at int64) joinInput {
	value, err := codecs.JSON[joinEvent]().Encode(nil, e)
	require.NoError(t, err)
	return joinInput{side: side, row: e, Record: enginetest.Record{Key: []byte(e.K), Value: value,
		Timestamp: windows.Time(at)}}
}
