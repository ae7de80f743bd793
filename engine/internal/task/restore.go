package task

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/windows"
)

// Errors of opening a task.
var (
	// ErrForeign says that the state was written by another plan, and that some of its rows cannot
	// be read by this one.
	ErrForeign = errors.New("task: state belongs to another plan")
	// ErrNewer says that the state was written by a version of ashi that is newer than this one.
	ErrNewer = errors.New("task: state was written by a newer version of ashi")
	// ErrDamaged says that the store cannot be trusted: wipe it and restore it from the start of
	// the changelog.
	ErrDamaged = errors.New("task: store is damaged")
)

// leastLoad is how large a run is given to a store as a Load: less is a Write, which spares the
// store a file and a flush.
const leastLoad = 1 << 20

// Restorer copies a changelog into a store. Give it the records from Position on, committed ones
// only, up to the end: with Apply, which writes them at once, or with Gather and a Finish, which
// cost a fraction where there are many.
type Restorer struct {
	store stores.Store
	log   LogID
	batch stores.Batch
	since time.Time

	run      stores.Run // of Gather
	next     int64      // the position behind it
	gathered bool       // next is not written yet
}

// NewRestorer restores log into store. The zero LogID is for those who only look: it takes every
// store.
func NewRestorer(store stores.Store, log LogID) *Restorer { return &Restorer{store: store, log: log} }

// Position is the changelog offset that the store stands for: the one to read next. False: the
// store is empty. Rows without a position are what is left of a first checkpoint: of which log
// nobody knows, so they are damage. A store of another log is an *OtherLogError.
func (r *Restorer) Position() (offset int64, ok bool, err error) {
	b, ok, err := r.store.Get(nil, positionKey)
	switch {
	case err != nil:
		return 0, false, fmt.Errorf("task: reading the position of a store: %w", err)
	case !ok:
		for _, err := range r.store.Scan(nil, nil) {
			if err == nil {
				err = fmt.Errorf("task: a store has rows and no position: %w", ErrDamaged)
			}
			return 0, false, err
		}
		return 0, false, nil
	}
	p, err := ParsePosition(b)
	if err != nil {
		return 0, false, err
	}
	if r.log != (LogID{}) && p.Log.Other(r.log) {
		return 0, false, &OtherLogError{Found: p.Log, Want: r.log}
	}
	r.since = p.Since
	return p.Offset, true, nil
}

// position is what stands in the store for an offset.
func (r *Restorer) position(next int64) []byte {
	return (&Position{Offset: next, Since: r.since, Log: r.log}).Append(nil)
}

// Since is when the store was at the end of its changelog, or when its first restore began, if it
// has not come to the end since; the zero Time if that is not known. Position reads it. Compaction
// takes a tombstone away when it is older than the changelog's delete.retention.ms: a store that
// has to go on from a position older than that may never hear of it, and keep a row that is gone.
func (r *Restorer) Since() time.Time { return r.since }

// Begin says that the store is empty and its restore begins now, or that it is at the end of its
// changelog now.
func (r *Restorer) Begin(now time.Time) { r.since = now }

// Apply writes records of the changelog, and that the offset to read after them is next, as one.
func (r *Restorer) Apply(records []Record, next int64) error {
	r.batch.Reset()
	if err := collect(&r.batch, records); err != nil {
		return err
	}
	return r.write(next)
}

// write writes the batch, and that the store stands for next.
func (r *Restorer) write(next int64) error {
	r.batch.Put(positionKey, r.position(next))
	if err := r.store.Write(&r.batch); err != nil {
		return fmt.Errorf("task: restore: %w", err)
	}
	return nil
}

// Gather is Apply of what comes until bound bytes have been gathered, or Finish is called: the last
// record of each key is written, in order of keys, as one. Of a store that is no stores.Loader it
// is Apply. Until Finish has returned, Position is that of an earlier moment.
func (r *Restorer) Gather(records []Record, next int64, bound int) error {
	if _, ok := r.store.(stores.Loader); !ok {
		return r.Apply(records, next)
	}
	if err := collect(&r.run, records); err != nil {
		return err
	}
	r.next, r.gathered = next, true
	if r.run.Size() < bound {
		return nil
	}
	return r.Finish()
}

// Finish writes what Gather has gathered.
func (r *Restorer) Finish() error {
	if !r.gathered {
		return nil
	}
	if r.run.Size() < leastLoad {
		r.batch.Reset()
		r.run.Batch(&r.batch)
		if err := r.write(r.next); err != nil {
			return err
		}
	} else {
		r.run.Put(positionKey, r.position(r.next))
		if err := r.store.(stores.Loader).Load(&r.run); err != nil {
			return fmt.Errorf("task: restore: %w", err)
		}
	}
	r.run.Reset()
	r.gathered = false
	return nil
}

// collect adds records to a batch or a run.
func collect(to interface {
	Put(key, value []byte)
	Delete(key []byte)
}, records []Record) error {
	for i := range records {
		switch rec := &records[i]; {
		case rec.Err != nil:
			return fmt.Errorf("task: changelog at offset %d: %w", rec.Offset, rec.Err)
		case len(rec.Key) == 0:
			return fmt.Errorf("task: changelog record at offset %d has no key: somebody else writes to the changelog",
				rec.Offset)
		case rec.Value == nil:
			to.Delete(rec.Key)
		default:
			to.Put(rec.Key, rec.Value)
		}
	}
	if len(records) > 0 {
		to.Delete(indexedKey)
	}
	return nil
}

// Progress is the commit record in the store, nil if there is none.
func (r *Restorer) Progress() (*Progress, error) {
	b, ok, err := r.store.Get(nil, ProgressKey)
	if err != nil || !ok {
		return nil, err
	}
	return ParseProgress(b)
}

// open takes over what the store holds: stream times, and which windows are open. Rows stay in the
// store until records ask for them.
func (t *Task) open() error {
	if t.progress.Sequence == 0 {
		return nil
	}
	for _, o := range t.operators {
		name, at := o.clock()
		if last, ok := t.progress.StreamTimes[name]; ok {
			at = last
		}
		if err := o.open(at); err != nil {
			return err
		}
		o.sawRecords()
	}
	return nil
}

// open takes over stream time and which windows are open.
func (w *windowed) open(streamTime windows.Time) error {
	w.streamTime = streamTime
	for _, s := range w.sizes {
		if s.hop != nil {
			s.hop.next = s.hop.after(w.streamTime, w.grace)
		}
		var err error
		switch {
		case s.sessions != nil:
			err = w.openSessions(s)
		case s.sliding != nil:
			err = w.findPoints(s)
		default:
			err = w.findOpen(s)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// findOpen makes a bucket for every window that has rows in the store. It steps from start to
// start.
func (w *windowed) findOpen(s *size) error {
	from, to := stores.OperatorBounds(s.op)
	for {
		start, ok, err := w.firstStart(from, to)
		if err != nil || !ok {
			return err
		}
		// a negative one would also sort behind all others, and be found for ever
		if start < 0 || start > w.streamTime || s.Start(start) != start {
			return fmt.Errorf("task: aggregate %s: a row in a window of %v that starts at %d: %w", w.name, s.Kind,
				start, ErrDamaged)
		}
		b := w.openBucket(s, len(s.open), start)
		b.stored, b.absent = true, true
		if start == math.MaxInt64 {
			return nil
		}
		from, _ = stores.RowBounds(s.op, int64(start)+1)
	}
}

// firstStart is the window of the first row in [from, to).
func (w *windowed) firstStart(from, to []byte) (windows.Time, bool, error) {
	for e, err := range w.task.cfg.Store.Scan(from, to) {
		if err != nil {
			return 0, false, fmt.Errorf("task: aggregate %s: looking for open windows: %w", w.name, err)
		}
		_, start, _, err := stores.ParseRowKey(e.Key)
		if err != nil {
			return 0, false, fmt.Errorf("task: aggregate %s: %w: %w", w.name, err, ErrDamaged)
		}
		return windows.Time(start), true, nil
	}
	return 0, false, nil
}
