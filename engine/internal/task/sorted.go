package task

import (
	"fmt"
	"strings"

	"github.com/tidwall/btree"

	"github.com/ashi-stream/ashi/stores"
)

// newSorted is keyed rows of which those can be asked for whose keys begin alike.
func newSorted(t *Task, name string, op uint16) *keyed {
	k := newKeyed(t, name, op)
	k.sorted = btree.NewBTreeGOptions(func(a, b *keyedRow) bool { return a.key < b.key }, btree.Options{NoLocks: true})
	return k
}

// prefix calls each with the rows whose key begins with prefix, in the order of keys: those in
// memory, and those that only the store has, which stay there. each must not change rows, and what
// it gets is good until it returns.
func (k *keyed) prefix(prefix []byte, each func(key, value []byte) error) error {
	memory := k.sorted.Iter()
	defer memory.Release()
	more := memory.Seek(&keyedRow{key: string(prefix)})
	// upTo is what memory has before a key, and whether it has that key too: its row counts then,
	// or that it was deleted.
	upTo := func(within func(string) bool) error {
		for ; more && within(memory.Item().key); more = memory.Next() {
			if r := memory.Item(); r.value != nil {
				if err := each([]byte(r.key), r.value); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if k.absent {
		from, to := stores.RowPrefixBounds(k.op, prefix)
		for e, err := range k.task.cfg.Store.Scan(from, to) {
			if err != nil {
				return k.wrap("scanning rows", err)
			}
			_, _, key, err := stores.ParseRowKey(e.Key)
			if err != nil {
				return k.wrap("scanning rows", fmt.Errorf("%w: %w", err, ErrDamaged))
			}
			at := string(key)
			if err := upTo(func(k string) bool { return k < at }); err != nil {
				return err
			}
			if more && memory.Item().key == at {
				continue // the one in memory counts: it is next
			}
			if err := each(key, e.Value); err != nil {
				return err
			}
		}
	}
	return upTo(func(k string) bool { return strings.HasPrefix(k, string(prefix)) })
}
