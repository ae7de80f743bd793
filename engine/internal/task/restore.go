package task

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/windows"
)

// Errors of opening a task.
var (
	// ErrForeign says that the state was written by another plan: its rows cannot be read by this one.
	ErrForeign = errors.New("task: state belongs to another plan")
	// ErrDamaged says that the store cannot be trusted: wipe it and restore it from the start of the changelog.
	ErrDamaged = errors.New("task: store is damaged")
)

// Restorer copies a changelog into a store. Apply it to the records from Position on, committed ones only, up to the end.
type Restorer struct {
	store stores.Store
	batch stores.Batch
	since time.Time
}

// NewRestorer restores into store.
func NewRestorer(store stores.Store) *Restorer { return &Restorer{store: store} }

// Position is the changelog offset that the store stands for: the one to read next. False: the store is empty. Rows without a position are
// what is left of a first checkpoint: of which log nobody knows, so they are damage.
func (r *Restorer) Position() (offset int64, ok bool, err error) {
	b, ok, err := r.store.Get(nil, positionKey)
	switch {
	case err != nil:
		return 0, false, fmt.Errorf("task: reading the position of a store: %w", err)
	case ok && len(b) != 16 && len(b) != 8: // as it was before there was Since
		return 0, false, fmt.Errorf("task: position of %d bytes: %w", len(b), ErrDamaged)
	case !ok:
		for _, err := range r.store.Scan(nil, nil) {
			if err == nil {
				err = fmt.Errorf("task: a store has rows and no position: %w", ErrDamaged)
			}
			return 0, false, err
		}
		return 0, false, nil
	}
	if len(b) == 16 {
		r.since = time.UnixMilli(int64(binary.BigEndian.Uint64(b[8:])))
	}
	return int64(binary.BigEndian.Uint64(b)), true, nil
}

// Since is when the store was at the end of its changelog, or when its first restore began, if it has not come to the end since; the zero
// Time if that is not known. Position reads it. Compaction takes a tombstone away when it is older than the changelog's delete.retention.ms:
// a store that has to go on from a position older than that may never hear of it, and keep a row that is gone.
func (r *Restorer) Since() time.Time { return r.since }

// Begin says that the store is empty and when its restore begins.
func (r *Restorer) Begin(now time.Time) { r.since = now }

// Apply writes records of the changelog, and that the offset to read after them is next, as one.
func (r *Restorer) Apply(records []Record, next int64) error {
	r.batch.Reset()
	for i := range records {
		switch rec := &records[i]; {
		case len(rec.Key) == 0:
			return fmt.Errorf("task: changelog record at offset %d has no key: somebody else writes to the changelog", rec.Offset)
		case rec.Value == nil:
			r.batch.Delete(rec.Key)
		default:
			r.batch.Put(rec.Key, rec.Value)
		}
	}
	if len(records) > 0 {
		r.batch.Delete(indexedKey)
	}
	r.batch.Put(positionKey, appendPosition(nil, next, r.since))
	if err := r.store.Write(&r.batch); err != nil {
		return fmt.Errorf("task: restore: %w", err)
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

// open takes over what the store holds: stream times, input positions, and which windows are open. Rows stay in the store
// until records ask for them.
func (t *Task) open() error {
	r := NewRestorer(t.cfg.Store)
	var err error
	if t.position, _, err = r.Position(); err != nil {
		return err
	}
	p, err := r.Progress()
	switch {
	case err != nil:
		return err
	case p == nil:
		return nil
	case p.Fingerprint != t.progress.Fingerprint:
		return fmt.Errorf("%w: sub-topology %s, partition %d, changelog %s: its aggregates, joins, windows or grouping are not those of this plan: "+
			"give the application another name, or delete that topic to start from the beginning of the input",
			ErrForeign, t.cfg.Sub.Name, t.cfg.Partition, t.cfg.Changelog)
	}
	t.progress = *p
	for _, o := range t.operators {
		name, at := o.clock()
		if last, ok := p.StreamTimes[name]; ok {
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

// findOpen makes a bucket for every window that has rows in the store. It steps from start to start.
func (w *windowed) findOpen(s *size) error {
	from, to := stores.OperatorBounds(s.op)
	for {
		start, ok, err := w.firstStart(from, to)
		if err != nil || !ok {
			return err
		}
		if start < 0 || start > w.streamTime || s.Start(start) != start { // a negative one would also sort behind all others, and be found for ever
			return fmt.Errorf("task: aggregate %s: a row in a window of %v that starts at %d: %w", w.name, s.Kind, start, ErrDamaged)
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
