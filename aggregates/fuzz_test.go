package aggregates_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/ashi-stream/ashi/aggregates"
)

// Whatever bytes a row has, Load reads them or says that they are no state; what it reads is stored
// and read again as the same bytes.
func FuzzLoad(f *testing.F) {
	p := over(f, aggregates.Needs{Merge: true, Undo: true}, func(g rows) int {
		aggregates.Count(g)
		aggregates.Max(g, s)
		aggregates.LatestByOffsetNWithNulls(g, 3, ps)
		aggregates.CollectSet(g, 5, pf)
		aggregates.CountDistinct(g, s)
		aggregates.CountDistinctApprox(g, u)
		aggregates.TopKBy(g, 3, n, ps)
		aggregates.Histogram(g, ps)
		aggregates.Quantile(g, 0.5, n)
		aggregates.SumDecimal(g, 10, 2, d)
		aggregates.Sum(g, x)
		aggregates.Correlation(g, func(q *quote) float64 { return q.f }, n)
		aggregates.Avg(g, d)
		return 0
	})
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 5 {
		var qs []quote
		for range 4 * i {
			qs = append(qs, random(r))
		}
		stored, err := p.program.Append(nil, p.of(0, qs...))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(stored)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		state := aggregates.NewState(p.program)
		if err := p.program.Load(state, b); err != nil {
			if !errors.Is(err, aggregates.ErrState) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		once, err := p.program.Append(nil, state)
		if err != nil {
			t.Fatal(err)
		}
		again := aggregates.NewState(p.program)
		if err := p.program.Load(again, once); err != nil {
			t.Fatalf("what was stored is not read: %v", err)
		}
		twice, err := p.program.Append(nil, again)
		if err != nil || string(once) != string(twice) {
			t.Fatalf("stored as %x, then as %x (%v)", once, twice, err)
		}
	})
}
