package main

import (
	"math/rand/v2"
	"time"
)

var pairs = []struct {
	name  string
	price float64
}{{"EUR/USD", 1.3868}, {"GBP/USD", 1.6883}, {"NZD/USD", 0.8627}}

// pip is the unit in which prices move.
const pip = 0.0001

// market makes up quotes, one in 200 ms over all pairs, and trades, one for four quotes, each in
// the order of its time: prices that wander at random, and now and then a pause in which the quotes
// of a pair grow stale. The same seed and span are the same market.
func market(seed uint64, from time.Time, span time.Duration) (quotes []Quote, trades []Trade) {
	r := rand.New(rand.NewPCG(seed, 1))
	last := make([]Quote, len(pairs))
	for i, p := range pairs {
		last[i] = Quote{Pair: p.name, Bid: p.price, Ask: p.price + pip}
	}
	for at := from; at.Before(from.Add(span)); at = at.Add(time.Duration(1+r.IntN(400)) * time.Millisecond) {
		i := r.IntN(len(pairs))
		q := &last[i]
		if r.IntN(5) == 0 {
			t := Trade{Pair: q.Pair, Buy: r.IntN(2) == 0, Price: q.Bid - pip*r.Float64()/2, At: at}
			if t.Buy {
				t.Price = q.Ask + pip*r.Float64()/2
			}
			trades = append(trades, t)
			continue
		}
		q.Bid += pip * r.NormFloat64() / 4
		q.Ask, q.At = q.Bid+pip*(0.5+r.Float64()), at
		quotes = append(quotes, *q)
	}
	return quotes, trades
}
