package engine

import (
	"sync"
	"time"
)

const (
	// unknown stands for a position or an end that nobody has said yet.
	unknown = -1
	// warmLag is how many records of its changelog a member's state of a partition may lack to be
	// as good as complete. It is also what the group goes by when it gives tasks away (KIP-441).
	warmLag = 10_000

	// tellAgain is the least time between two times that the group is told of one copy. It doubles
	// each time, and when it has come to tellLast the group is left to ask by itself.
	tellAgain = time.Second
	tellLast  = 10 * time.Minute
)

// reach is how far this process's state of a partition is, and whether the group knows. A member
// whose state was far behind when it joined may be the one that is to get the task once it is near:
// then the group has to be told, as it asks only when somebody joins. Whether the group waits is
// not known here, nor how far the task was when its own member joined, which may be later: so it is
// told again when the log has grown by as much since. It is safe for concurrent use.
type reach struct {
	mu        sync.Mutex
	next, end int64 // of the changelog: to be read next; of its committed records, as last heard of
	told      int64 // next, as the group was told
	far       bool  // that is far behind the end
	wait      time.Duration
	after     time.Time // the group is to be told at the earliest
	seen      atEnd
}

// tell is next, for the group.
func (r *reach) tell() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told, r.far = r.next, false
	return r.next
}

// set notes the position of a store that nobody follows.
func (r *reach) set(next int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next = next
}

// begin notes the position at which a standby begins.
func (r *reach) begin(next int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next, r.end, r.far, r.wait, r.after = next, unknown, false, tellAgain, time.Time{}
	r.seen = atEnd{}
}

// moved notes a standby's position, and says whether the group is to be told.
func (r *reach) moved(next int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next = next
	r.seen.moved(next)
	return r.arrivedLocked()
}

// heard notes where a standby's log ended when that was asked, and says whether the group is to be
// told.
func (r *reach) heard(end int64, asked time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end = end
	r.seen.heard(end, r.next, asked)
	r.far = r.far || end-max(r.told, 0) > warmLag
	return r.arrivedLocked()
}

func (r *reach) lastAtEnd() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen.last
}

// arrivedLocked says, once, that what was far is near.
func (r *reach) arrivedLocked() bool {
	if !r.far || r.next == unknown || r.end-r.next > warmLag || r.wait > tellLast || time.Now().Before(r.after) {
		return false
	}
	r.far, r.after = false, time.Now().Add(r.wait)
	r.wait *= 2
	return true
}

func (r *reach) now() (next, end int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next, r.end
}
