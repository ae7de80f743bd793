package main

import (
	"math"
	"math/rand/v2"
	"time"
)

// quote is where a pair starts.
type quote struct {
	pair   string
	price  float64
	digits int
}

var quotes = []quote{
	{"AUD/USD", 0.92760, 5}, {"EUR/CHF", 1.21930, 5}, {"EUR/GBP", 0.82150, 5}, {"EUR/JPY", 141.750, 3},
	{"EUR/USD", 1.38680, 5}, {"GBP/JPY", 172.570, 3}, {"GBP/USD", 1.68830, 5}, {"NZD/USD", 0.86270, 5},
	{"USD/CAD", 1.09600, 5}, {"USD/CHF", 0.87950, 5}, {"USD/JPY", 102.240, 3}, {"USD/SEK", 6.50430, 5},
}

const (
	meanGap  = 160 * time.Millisecond // between ticks, over all pairs
	stepSize = 4e-5                   // a tick's usual move, as a share of the price
)

// market makes up the ticks of a span of time: prices that wander at random. The same seed and span
// are the same ticks.
func market(seed uint64, from time.Time, span time.Duration) source {
	s := source{digits: map[string]int{}}
	for _, q := range quotes {
		s.digits[q.pair] = q.digits
	}
	s.ticks = func(yield func(Tick, error) bool) {
		r := rand.New(rand.NewPCG(seed, 1))
		prices := make([]float64, len(quotes))
		for i, q := range quotes {
			prices[i] = q.price
		}
		end := from.Add(span)
		for at := from; at.Before(end); at = at.Add(time.Millisecond + time.Duration(r.ExpFloat64()*float64(meanGap))) {
			i := r.IntN(len(quotes))
			q := quotes[i]
			prices[i] *= 1 + r.NormFloat64()*stepSize
			spread := q.price * (1 + r.Float64()) * 6e-5
			if !yield(Tick{Pair: q.pair, Bid: round(prices[i], q.digits), Ask: round(prices[i]+spread, q.digits),
				At: at.Truncate(time.Millisecond)}, nil) {
				return
			}
		}
	}
	return s
}

func round(v float64, digits int) float64 {
	unit := math.Pow10(digits)
	return math.Round(v*unit) / unit
}
