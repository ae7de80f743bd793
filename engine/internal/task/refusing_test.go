package task_test

import (
	"encoding/binary"
	"errors"
	"math/big"
	"slices"
	"strings"

	"github.com/cockroachdb/apd/v3"

	"github.com/ashi-stream/ashi/aggregates"
)

// refuser is a part that may not take a row behind those that its window has.
type refuser struct {
	part
	refuses func([]event, event) bool
}

// refusingParts are sums of decimals, which may become too large, and a program's own aggregates.
func refusingParts() (parts []part) {
	for _, r := range refusers {
		parts = append(parts, r.part)
	}
	return parts
}

// refuses says whether p does not take a row.
func (p *part) refuses(rows []event, e event) bool {
	i := slices.IndexFunc(refusers, func(r refuser) bool { return r.name == p.name })
	return i >= 0 && refusers[i].refuses(rows, e)
}

var refusers = []refuser{
	bounded("decimal(5,2) owed", 5, 2, owedOf),
	bounded("decimal(4,0) owed", 4, 0, owedOf),
	bounded("decimal(38,3) size", 38, 3, func(e *event) *apd.Decimal { return &e.Size }),
	{part{"custom spread", func(g aggregates.Rows[event]) string { return show(aggregates.Custom(g, spread, small)) },
		func(rows []event) string {
			vs := column(rows, small)
			return show(int64(slices.Max(vs)) - int64(slices.Min(vs)))
		}}, func(_ []event, e event) bool { return e.Small == 25 }},
	{part{"custom words", func(g aggregates.Rows[event]) string { return aggregates.Custom(g, words, marked) },
		func(rows []event) string {
			var vs []string
			for _, v := range values(rows, noteOf) {
				vs = append(vs, *v+";")
			}
			slices.Sort(vs)
			return strings.Join(slices.Compact(vs), "")
		}}, func(_ []event, e event) bool { return strings.HasSuffix(show(marked(&e)), "!") }},
}

// bounded is SumDecimal: values are rounded half up to the scale, and no sum has more digits than
// the precision [U3].
func bounded(name string, precision, scale int, of func(*event) *apd.Decimal) refuser {
	sum := func(rows []event) *big.Int {
		sum := new(big.Int) // in units of the scale
		for _, v := range values(rows, of) {
			sum.Add(sum, inUnits(v, scale))
		}
		return sum
	}
	return refuser{part{name,
		func(g aggregates.Rows[event]) string { return show(aggregates.SumDecimal(g, precision, scale, of)) },
		func(rows []event) string {
			return show(apd.NewWithBigInt(new(apd.BigInt).SetMathBigInt(sum(rows)), int32(-scale)).Text('f'))
		}}, func(rows []event, e event) bool {
		if of(&e) == nil {
			return false
		}
		after := sum(append(slices.Clone(rows), e))
		return after.CmpAbs(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(precision)), nil)) >= 0
	}}
}

// inUnits is a decimal in units of 10^-scale, halves away from zero.
func inUnits(d *apd.Decimal, scale int) *big.Int {
	r, _ := new(big.Rat).SetString(d.Text('e'))
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)))
	twice := new(big.Int).Mul(new(big.Int).Abs(r.Num()), big.NewInt(2))
	twice.Add(twice, r.Denom())
	n := twice.Quo(twice, new(big.Int).Mul(r.Denom(), big.NewInt(2)))
	if r.Sign() < 0 {
		n.Neg(n)
	}
	return n
}

// spread is a Custom whose state refers to nothing. It refuses one value.
var spread = aggregates.Definition[int32, [3]int64, int64]{
	Name: "spread",
	Add: func(s [3]int64, v int32) [3]int64 {
		if v == 25 {
			panic("spread of 25")
		}
		return spread1(s, [3]int64{int64(v), int64(v), 1})
	},
	Merge: spread1,
	Encode: func(dst []byte, s [3]int64) []byte {
		for _, n := range s {
			dst = binary.AppendVarint(dst, n)
		}
		return dst
	},
	Decode: func(b []byte) (s [3]int64, err error) {
		for i := range s {
			v, n := binary.Varint(b)
			if n <= 0 {
				return s, errors.New("spread is cut short")
			}
			s[i], b = v, b[n:]
		}
		return s, nil
	},
	Result: func(s [3]int64) int64 { return s[1] - s[0] },
}

// spread1 is the least, the largest and the number of both.
func spread1(a, b [3]int64) [3]int64 {
	switch {
	case a[2] == 0:
		return b
	case b[2] == 0:
		return a
	}
	return [3]int64{min(a[0], b[0]), max(a[1], b[1]), a[2] + b[2]}
}

// marked is the note, with a mark where words is to fail.
func marked(e *event) *string {
	if e.Note == nil || e.Small%8 != 1 {
		return e.Note
	}
	note := *e.Note + "!"
	return &note
}

// words is a Custom whose state is a map, which Add has changed already when it panics.
var words = aggregates.Definition[*string, map[string]bool, string]{
	Name: "words",
	Init: func() map[string]bool { return map[string]bool{} },
	Add: func(s map[string]bool, v *string) map[string]bool {
		if v == nil {
			return s
		}
		if s[*v] = true; strings.HasSuffix(*v, "!") {
			panic("words of a mark")
		}
		return s
	},
	Merge: func(a, b map[string]bool) map[string]bool {
		for v := range b {
			a[v] = true
		}
		return a
	},
	Encode: func(dst []byte, s map[string]bool) []byte { return append(dst, wordList(s)...) },
	Decode: func(b []byte) (map[string]bool, error) {
		s := map[string]bool{}
		for _, v := range strings.SplitAfter(string(b), ";") {
			if v != "" {
				s[strings.TrimSuffix(v, ";")] = true
			}
		}
		return s, nil
	},
	Result: func(s map[string]bool) string { return wordList(s) },
}

// wordList is the words in their order, each with a semicolon behind it.
func wordList(s map[string]bool) string {
	var all []string
	for v := range s {
		all = append(all, v+";")
	}
	slices.Sort(all)
	return strings.Join(all, "")
}
