package engine

import (
	"sync"
	"time"
)

// rateOver is the time over which a rate is taken: longer than most commits are apart.
const rateOver = 10 * time.Second

// rate is how fast a counter grows. Safe for concurrent use.
type rate struct {
	mu   sync.Mutex
	seen []sample // the first is the last one that is rateOver old, or the first of all
}

type sample struct {
	at time.Time
	n  int64
}

// note says where the counter is.
func (r *rate) note(at time.Time, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, sample{at, n})
	for len(r.seen) > 2 && at.Sub(r.seen[1].at) >= rateOver {
		r.seen = r.seen[1:]
	}
}

// perSecond is what the counter grew by in a second, over the last rateOver; 0 until there are two
// notes.
func (r *rate) perSecond() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.seen) < 2 {
		return 0
	}
	first, last := r.seen[0], r.seen[len(r.seen)-1]
	return float64(last.n-first.n) / last.at.Sub(first.at).Seconds()
}
