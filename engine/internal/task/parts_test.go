package task_test

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/ashi-stream/ashi/aggregates"
)

// part is one aggregate of a random program: as a projection calls it, and as the oracle computes
// it from all rows of the group and window in the order of processing. Both give text, so that
// results of any type are compared to the last bit.
type part struct {
	name string
	live func(aggregates.Rows[event]) string
	slow func([]event) string
}

// event is the row of the random programs.
type event struct {
	Key   string `ashi:"key,key"`
	Group string
	Price float64
	Small int32
	Big   uint64
	Maybe *float64
	Name  string
	Note  *string
	Size  apd.Decimal
	Owed  *apd.Decimal
	Due   time.Time
	Until *time.Time
	OK    *bool
	At    int64 // the record's timestamp
}

// price has values that JSON cannot carry: NaN, an infinity, and minus zero.
func price(e *event) float64 {
	switch e.Price {
	case 999:
		return math.NaN()
	case 998:
		return math.Inf(1)
	case 997:
		return math.Copysign(0, -1)
	}
	return e.Price
}

// small is the column that fails for some rows.
func small(e *event) int32 {
	if e.Small == 21 {
		panic("column on 21")
	}
	return e.Small
}

func parts() []part {
	owed := func(e *event) *apd.Decimal { return e.Owed }
	size := func(e *event) apd.Decimal { return e.Size }
	maybe := func(e *event) *float64 { return e.Maybe }
	big := func(e *event) uint64 { return e.Big }
	return slices.Concat(
		[]part{{"count", func(g aggregates.Rows[event]) string { return show(aggregates.Count(g)) },
			func(rows []event) string { return show(len(rows)) }}},
		sums("price", price, sumOf, meanOf), extremes("price", price, lessFloat), ends("price", price),
		wholes("small", small), extremes("small", small, less), ends("small", small),
		wholes("big", big), extremes("big", big, less), ends("big", big),
		sums("maybe", maybe, through(sumOf[float64]), through(meanOf)), ends("maybe", maybe),
		extremes("maybe", maybe, func(a, b *float64) bool { return lessFloat(*a, *b) }),
		extremes("name", func(e *event) string { return e.Name }, less),
		ends("name", func(e *event) string { return e.Name }),
		extremes("note", func(e *event) *string { return e.Note }, func(a, b *string) bool { return *a < *b }),
		ends("note", func(e *event) *string { return e.Note }), sums("size", size, sumDecimals, meanDecimals),
		ends("size", size), extremes("size", size, func(a, b apd.Decimal) bool { return a.Cmp(&b) < 0 }),
		sums("owed", owed, through(sumDecimals), through(meanDecimals)), ends("owed", owed),
		extremes("owed", owed, func(a, b *apd.Decimal) bool { return a.Cmp(b) < 0 }),
		extremes("due", func(e *event) time.Time { return e.Due }, time.Time.Before),
		ends("due", func(e *event) time.Time { return e.Due }),
		extremes("until", func(e *event) *time.Time { return e.Until },
			func(a, b *time.Time) bool { return a.Before(*b) }),
		ends("until", func(e *event) *time.Time { return e.Until }), ends("ok", func(e *event) *bool { return e.OK }),
		objectParts(), listParts(), momentParts(), refusingParts(),
	)
}

// mergeable are those whose results do not depend on which rows are merged with which. Sums of
// floats depend on the order of additions, those of decimals on where they are rounded; and of
// equal decimals it is open which a Min is.
func mergeable(all []part) (safe []part) {
	for _, p := range all {
		var function, column string
		fmt.Sscan(p.name, &function, &column)
		inexact := slices.Contains([]string{"price", "maybe", "size", "owed"}, column)
		decimal := slices.Contains([]string{"size", "owed"}, column)
		switch function {
		case "sum", "avg":
			if inexact {
				continue
			}
		case "min", "max":
			if decimal {
				continue
			}
		}
		safe = append(safe, p)
	}
	return safe
}

func sums[V aggregates.Summable](name string, column func(*event) V, sum, mean func([]V) string) []part {
	return []part{
		{"sum " + name, func(g aggregates.Rows[event]) string { return show(aggregates.Sum(g, column)) },
			func(rows []event) string { return sum(values(rows, column)) }},
		{"avg " + name, func(g aggregates.Rows[event]) string { return show(aggregates.Avg(g, column)) },
			func(rows []event) string { return mean(values(rows, column)) }},
	}
}

type integer interface{ int32 | uint64 }

// wholes are a sum of integers, which wraps, and a mean, which does not; the mean may be off by a
// unit in its last place.
func wholes[V integer](name string, column func(*event) V) []part {
	both := sums(name, column, sumOf, wholeMean)
	live, slow := both[1].live, both[1].slow
	both[1].live = func(g aggregates.Rows[event]) string { return "~" + live(g) }
	both[1].slow = func(rows []event) string { return "~" + slow(rows) }
	return both
}

func extremes[V aggregates.Ordered](name string, column func(*event) V, less func(a, b V) bool) []part {
	best := func(better func(a, b V) bool) func([]event) string {
		return func(rows []event) string {
			var found V
			for i, v := range values(rows, column) {
				if i == 0 || better(v, found) {
					found = v
				}
			}
			return show(found)
		}
	}
	return []part{
		{"min " + name, func(g aggregates.Rows[event]) string { return show(aggregates.Min(g, column)) }, best(less)},
		{"max " + name, func(g aggregates.Rows[event]) string { return show(aggregates.Max(g, column)) },
			best(func(a, b V) bool { return less(b, a) })},
	}
}

func ends[V aggregates.Value](name string, column func(*event) V) []part {
	return []part{
		{"earliest " + name, func(g aggregates.Rows[event]) string {
			return show(aggregates.EarliestByOffset(g,
				column))
		},
			func(rows []event) string { return show(append(values(rows, column), *new(V))[0]) }},
		{"latest " + name, func(g aggregates.Rows[event]) string { return show(aggregates.LatestByOffset(g, column)) },
			func(rows []event) string {
				vs := append([]V{*new(V)}, values(rows, column)...)
				return show(vs[len(vs)-1])
			}},
	}
}

// values are a column's values that are not null.
func values[V any](rows []event, column func(*event) V) []V {
	var vs []V
	for i := range rows {
		v := column(&rows[i])
		if r := reflect.ValueOf(v); r.Kind() != reflect.Pointer || !r.IsNil() {
			vs = append(vs, v)
		}
	}
	return vs
}

func through[V any](f func([]V) string) func([]*V) string {
	return func(pointers []*V) string {
		vs := make([]V, len(pointers))
		for i, p := range pointers {
			vs[i] = *p
		}
		return f(vs)
	}
}

func sumOf[V aggregates.Number](vs []V) string {
	var sum V
	for _, v := range vs {
		sum += v
	}
	return show(sum)
}

// meanOf is the mean of floats, whose sum rounds at each row.
func meanOf(vs []float64) string {
	sum := 0.0
	for _, v := range vs {
		sum += v
	}
	return show(sum / float64(max(1, len(vs))))
}

// wholeMean is the mean of integers, whose sum is exact however large it is.
func wholeMean[V integer](vs []V) string {
	sum := new(big.Int)
	for _, v := range vs {
		one, _ := new(big.Int).SetString(fmt.Sprint(v), 10)
		sum.Add(sum, one)
	}
	mean, _ := new(big.Rat).SetFrac(sum, big.NewInt(int64(max(1, len(vs))))).Float64()
	return show(mean)
}

// addDecimals keeps 38 digits and rounds half away from zero at each step.
func addDecimals(vs []apd.Decimal) (sum *big.Int, exponent int32) {
	ten := big.NewInt(10)
	power := func(n int32) *big.Int { return new(big.Int).Exp(ten, big.NewInt(int64(n)), nil) }
	sum = new(big.Int)
	for i := range vs {
		v := vs[i].Coeff.MathBigInt()
		if vs[i].Negative {
			v.Neg(v)
		}
		low := min(exponent, vs[i].Exponent)
		sum.Mul(sum, power(exponent-low))
		sum.Add(sum, v.Mul(v, power(vs[i].Exponent-low)))
		exponent = low
		for digits := int32(len(new(big.Int).Abs(sum).String())); digits > 38; digits = int32(
			len(new(big.Int).Abs(sum).String())) {
			unit := power(digits - 38)
			half := new(big.Int).Div(unit, big.NewInt(2))
			if sum.Sign() < 0 {
				half.Neg(half)
			}
			sum.Quo(sum.Add(sum, half), unit)
			exponent += digits - 38
		}
	}
	return sum, exponent
}

func sumDecimals(vs []apd.Decimal) string {
	sum, exponent := addDecimals(vs)
	return apd.NewWithBigInt(new(apd.BigInt).SetMathBigInt(sum), exponent).String()
}

func meanDecimals(vs []apd.Decimal) string {
	if len(vs) == 0 {
		return show(0.0)
	}
	sum, exponent := addDecimals(vs)
	r, _ := new(big.Rat).SetString(fmt.Sprintf("%se%d", sum, exponent))
	f, _ := r.Quo(r, big.NewRat(int64(len(vs)), 1)).Float64()
	return show(f)
}

func less[V cmp.Ordered](a, b V) bool { return a < b }

// lessFloat is Java's order.
func lessFloat(a, b float64) bool {
	switch {
	case math.IsNaN(a) || math.IsNaN(b):
		return !math.IsNaN(a) && math.IsNaN(b)
	case a == 0 && b == 0:
		return math.Signbit(a) && !math.Signbit(b)
	}
	return a < b
}

func show(v any) string {
	if r := reflect.ValueOf(v); r.Kind() == reflect.Pointer {
		if r.IsNil() {
			return "null"
		}
		v = r.Elem().Interface()
	}
	switch x := v.(type) {
	case time.Time:
		return x.UTC().Format(time.RFC3339Nano)
	case apd.Decimal:
		return x.String()
	}
	return fmt.Sprint(v)
}

// slowLine is what the projection of some parts gives for rows.
func slowLine(ps []part, rows []event) string {
	texts := make([]string, len(ps))
	for i, p := range ps {
		texts[i] = p.name + "=" + p.slow(rows)
	}
	return strings.Join(texts, " ")
}
