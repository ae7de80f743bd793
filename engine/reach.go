package engine

import "sync"

const (
	// unknown stands for a position or an end that nobody has said yet.
	unknown = -1
	// warmLag is how many records of its changelog a member's state of a partition may lack to be as good as complete. It is also what the
	// group goes by when it gives tasks away (KIP-441).
	warmLag = 10_000
)

// reach is how far this process's state of a partition is, and whether the group knows. A member whose state was far behind when it joined
// may be the one that is to get the task once it is near: then the group has to be told, as it asks only when somebody joins. It is safe
// for concurrent use.
type reach struct {
	mu        sync.Mutex
	next, end int64 // of the changelog: to be read next; of its committed records, as last heard of
	told      int64 // next, as the group was told
	unjudged  bool  // since then nothing was heard of the end
	far       bool  // what the group was told is far behind, and so is next
}

// tell is next, for the group.
func (r *reach) tell() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told, r.unjudged = r.next, true
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
	r.next, r.end, r.unjudged, r.far = next, unknown, true, false
}

// moved notes a standby's position, and says whether the group is to be told.
func (r *reach) moved(next int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next = next
	return r.arrivedLocked()
}

// heard notes where a standby's log ends, and says whether the group is to be told.
func (r *reach) heard(end int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end = end
	if r.unjudged {
		r.unjudged, r.far = false, end-max(r.told, 0) > warmLag
	}
	return r.arrivedLocked()
}

// arrivedLocked says, once, that what was far is near.
func (r *reach) arrivedLocked() bool {
	if !r.far || r.next == unknown || r.end-r.next > warmLag {
		return false
	}
	r.far = false
	return true
}

func (r *reach) now() (next, end int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next, r.end
}
