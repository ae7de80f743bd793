package engine

import (
	"crypto/sha256"
	"errors"
	"sync"

	"github.com/ashi-stream/ashi/engine/internal/task"
)

// mostRefusals are remembered at a time. What is forgotten is refused, and found, once more.
const mostRefusals = 1 << 12

// refusals are the records that brokers have refused of the tasks of a sub-topology. A task that is
// opened after its transaction was refused makes the same record again: now its policy decides
// about it. It is safe for concurrent use.
type refusals struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]error
}

// note remembers what an error of a task says of refused records.
func (r *refusals) note(err error) {
	var refused *task.RefusedError
	if !errors.As(err, &refused) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil || len(r.all)+len(refused.Records) > mostRefusals {
		r.all = map[[sha256.Size]byte]error{}
	}
	for i := range refused.Records {
		r.all[refused.Records[i].Output.Fingerprint()] = &refused.Records[i]
	}
}

// of is what a task is to ask; nil: nothing was refused.
func (r *refusals) of() func(*task.Output) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) == 0 {
		return nil
	}
	return func(o *task.Output) error {
		sum := o.Fingerprint()
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.all[sum] // nil: it was not
	}
}
