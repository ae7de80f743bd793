package task

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/tidwall/btree"

	"github.com/ashi-stream/ashi/stores"
)

// keyed is rows of bytes by key: the state of operators over tables. In memory are those that
// changed since the last checkpoint and those that were read since the last eviction; the others
// are in the store. A read is a point get at most.
type keyed struct {
	task    *Task
	name    string // of the operator, for errors
	op      uint16
	rows    map[string]*keyedRow
	dirty   []*keyedRow
	unsaved []*keyedRow
	bytes   int
	absent  bool // the store may hold rows that are not in memory
	skey    []byte
	// rows by key, where they are asked for by the beginning of it; else nil (sorted.go)
	sorted *btree.BTreeG[*keyedRow]
}

// keyedRow is a row in memory.
type keyedRow struct {
	key   string
	value []byte // nil: there is no such row
	flags uint8
}

// keyedBytes is what a row takes beside its key and value: here, in the map, and in the lists of
// changed rows.
const keyedBytes = 112

func newKeyed(t *Task, name string, op uint16) *keyed {
	return &keyed{task: t, name: name, op: op, rows: map[string]*keyedRow{}}
}

// open finds out whether the store holds any rows.
func (k *keyed) open() error {
	from, to := stores.OperatorBounds(k.op)
	for _, err := range k.task.cfg.Store.Scan(from, to) {
		k.absent = true
		return k.wrap("looking for rows", err)
	}
	return nil
}

// get is the row of a key, nil if there is none. It is good until the key is put or deleted.
func (k *keyed) get(key []byte) ([]byte, error) {
	r, err := k.row(key)
	if r == nil {
		return nil, err
	}
	return r.value, nil
}

// row is the row of a key in memory, read from the store if need be; nil if it is in neither.
func (k *keyed) row(key []byte) (*keyedRow, error) {
	if r := k.rows[string(key)]; r != nil || !k.absent {
		return r, nil
	}
	k.skey = stores.AppendRowKey(k.skey[:0], k.op, 0, key)
	value, ok, err := k.task.cfg.Store.Get(nil, k.skey)
	if err != nil {
		return nil, k.wrap("reading a row", err)
	}
	if !ok {
		return nil, nil
	}
	r := k.add(key)
	r.value, r.flags = value, flagLogged
	k.bytes += cap(value)
	return r, nil
}

func (k *keyed) add(key []byte) *keyedRow {
	r := &keyedRow{key: string(key)}
	k.rows[r.key] = r
	if k.sorted != nil {
		k.sorted.Set(r)
	}
	k.bytes += keyedBytes + len(key)
	return r
}

// put sets the row of a key to a copy of value, which is not nil.
func (k *keyed) put(key, value []byte) error {
	r, err := k.row(key)
	if err != nil {
		return err
	}
	if r == nil {
		r = k.add(key)
	}
	k.bytes -= cap(r.value)
	if r.value = append(r.value[:0], value...); r.value == nil {
		r.value = []byte{}
	}
	k.bytes += cap(r.value)
	k.touch(r)
	return nil
}

// delete deletes the row of a key, if there is one.
func (k *keyed) delete(key []byte) error {
	r, err := k.row(key)
	if err != nil || r == nil || r.value == nil {
		return err
	}
	k.bytes -= cap(r.value)
	r.value = nil
	k.touch(r)
	return nil
}

func (k *keyed) touch(r *keyedRow) {
	if r.flags&flagDirty == 0 {
		k.dirty = append(k.dirty, r)
	}
	if r.flags&flagUnsaved == 0 {
		k.unsaved = append(k.unsaved, r)
	}
	r.flags |= flagDirty | flagUnsaved
}

// log writes what changed since the last commit to the changelog.
func (k *keyed) log(ctx context.Context) {
	for _, r := range k.dirty {
		r.flags &^= flagDirty
		if r.value == nil && r.flags&flagLogged == 0 {
			continue // made and deleted between two commits
		}
		k.skey = stores.AppendRowKey(k.skey[:0], k.op, 0, []byte(r.key))
		k.task.log(ctx, k.skey, r.value)
		r.flags |= flagLogged
		if r.value == nil {
			r.flags &^= flagLogged
		}
	}
	clear(k.dirty)
	k.dirty = k.dirty[:0]
}

// save adds what changed since the last checkpoint to it, by ascending key, and forgets what was
// deleted.
func (k *keyed) save() error {
	slices.SortFunc(k.unsaved, func(a, b *keyedRow) int { return bytes.Compare([]byte(a.key), []byte(b.key)) })
	for _, r := range k.unsaved {
		r.flags &^= flagUnsaved
		k.skey = stores.AppendRowKey(k.skey[:0], k.op, 0, []byte(r.key))
		if r.value != nil {
			k.task.pending.Put(k.skey, r.value)
		} else {
			k.task.pending.Delete(k.skey)
			k.drop(r)
		}
		if err := k.task.writePending(pendingBytes); err != nil {
			return err
		}
	}
	clear(k.unsaved)
	k.unsaved = k.unsaved[:0]
	return nil
}

func (k *keyed) drop(r *keyedRow) {
	k.bytes -= keyedBytes + len(r.key) + cap(r.value)
	delete(k.rows, r.key)
	if k.sorted != nil {
		k.sorted.Delete(r)
	}
}

// evict drops rows from memory until enough says so. All are in the store.
func (k *keyed) evict(enough func() bool) {
	n := 0
	for _, r := range k.rows {
		if n++; n%256 == 1 && enough() {
			return
		}
		k.drop(r)
		k.absent = true
	}
}

func (k *keyed) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("task: %s: %s: %w", k.name, what, err)
}
