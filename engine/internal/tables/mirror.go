// Package tables mirrors topics into stores and reads rows from them: the tables of requirement TC.
//
// A [Mirror] takes over the records of one topic, all partitions, into one store; a [Reader] gives
// typed, ordered access to it. The mirror belongs to one goroutine; readers may be used by any
// number at the same time.
package tables

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ashi-stream/ashi/engine/internal/rare"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// Mirror copies a table's topic into a store.
type Mirror struct {
	table *topology.Table
	topic Topic
	store stores.Store
	rare  *rare.Log
	batch stores.Batch
	run   stores.Run        // of Gather
	at    map[int32]int64   // positions behind run
	fresh map[string][]byte // rows in batch or run, of an append-only table; nil for those that it deletes
	key   []byte
	value []byte
	past  *past
	// latest is the newest time of the rows of a partition that the store has, as far as known,
	// since the store was opened, and floor that of all rows before. A row that is newer cannot be
	// there, so that nobody has to look: all rows of a key come from one partition. latestNow
	// counts the batch or run that is being made.
	floor             int64
	latest, latestNow map[int32]int64

	// Malformed, Duplicates and Contradictions count records that could not be taken over: keys
	// that are no windowed keys; rows of an append-only table that are there already with the same
	// bytes; and with others. Expired counts rows that came when they were past their retention
	// already.
	Malformed, Duplicates, Contradictions, Expired atomic.Int64
}

// NewMirror copies table into store. Of a table of windows it keeps rows for retention (see
// Oldest); 0 keeps all. Call Positions before the first Apply.
func NewMirror(table *topology.Table, store stores.Store, retention time.Duration, log *slog.Logger) *Mirror {
	return &Mirror{table: table, store: store, past: newPast(table, retention),
		rare: rare.New(log.With("table", table.Topic)), fresh: map[string][]byte{}, at: map[int32]int64{},
		floor: math.MaxInt64, latest: map[int32]int64{}, latestNow: map[int32]int64{}}
}

// Topic says which topic a store's positions are of. What is not known of it may be anything.
type Topic struct {
	Cluster string
	ID      task.TopicID
}

// String is how log lines name it.
func (t Topic) String() string {
	if t.Cluster == "" {
		return "topic id " + t.ID.String()
	}
	return fmt.Sprintf("topic id %s in cluster %s", t.ID, t.Cluster)
}

func (t Topic) other(than Topic) bool {
	return t.ID.Other(than.ID) || t.Cluster != than.Cluster && t.Cluster != "" && than.Cluster != ""
}

// Bind says which topic the store follows from now on; a store that has rows of another one is
// found by the next call of Positions (ErrOtherTopic). Without it positions are taken as they are,
// and written down as those of a topic that is not known.
func (m *Mirror) Bind(topic Topic) { m.topic = topic }

const (
	positionPrefix = "position/"
	keysName       = "keys" // the format of the topic's keys that rows came with; nothing: KAFKA
)

// ErrOtherTopic says that a store has rows of another topic than it is to follow: it must be
// emptied first. The topic was deleted and made again, or is of another cluster, or the folder is
// another table's.
var ErrOtherTopic = errors.New("tables: the rows of the store are of another topic")

// ErrOtherKeys says that a store has rows whose keys were read in another format than the table's:
// it must be emptied first.
var ErrOtherKeys = errors.New("tables: the rows of the store have keys of another format")

// Positions is the offset to read next of each partition that the store has seen. It takes over
// from the store what Apply goes on from. See ErrOtherKeys and ErrOtherTopic.
func (m *Mirror) Positions() (map[int32]int64, error) {
	if err := m.loadNewest(); err != nil {
		return nil, err
	}
	at := map[int32]int64{}
	from := stores.MetaKey(positionPrefix)
	to := stores.MetaKey(strings.TrimSuffix(positionPrefix, "/") + "0") // '0' is the byte after '/'
	for e, err := range m.store.Scan(from, to) {
		if err != nil {
			return nil, fmt.Errorf("tables: positions of %s: %w", m.table.Topic, err)
		}
		var p int32
		next, topic, ok := ParsePosition(e.Value)
		if _, err := fmt.Sscanf(string(e.Key[len(from):]), "%d", &p); err != nil || !ok {
			return nil, fmt.Errorf("tables: positions of %s: %w", m.table.Topic, stores.ErrCorrupt)
		}
		if topic.other(m.topic) {
			return nil, fmt.Errorf("%w: they are of %s; %s has now %s", ErrOtherTopic, topic, m.table.Topic, m.topic)
		}
		at[p] = next
	}
	m.forget(len(at) > 0)
	keys, _, err := m.store.Get(nil, stores.MetaKey(keysName))
	switch {
	case err != nil:
		return nil, fmt.Errorf("tables: keys of %s: %w", m.table.Topic, err)
	case len(at) > 0 && string(keys) != m.table.Keys:
		return nil, ErrOtherKeys
	}
	return at, nil
}

var sinceKey = stores.MetaKey("since")

// Since is when the store was at the end of its topic, as was last written down with Note; the zero
// Time if it never was.
func (m *Mirror) Since() (time.Time, error) {
	value, ok, err := m.store.Get(nil, sinceKey)
	if err == nil && ok && len(value) != 8 {
		err = stores.ErrCorrupt
	}
	if err != nil || !ok {
		return time.Time{}, aged(m.table, err)
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(value))), nil
}

// Note writes down that the store was at the end of its topic at a time, or was empty then, and
// makes all that was written durable. It may be called from any goroutine.
func (m *Mirror) Note(at time.Time) error {
	var b stores.Batch
	b.Put(sinceKey, binary.BigEndian.AppendUint64(nil, uint64(at.UnixMilli())))
	err := m.store.Write(&b)
	if err == nil {
		err = m.store.Flush()
	}
	return aged(m.table, err)
}

func aged(t *topology.Table, err error) error {
	if err != nil {
		err = fmt.Errorf("tables: age of %s: %w", t.Topic, err)
	}
	return err
}

// forget drops what was gathered and what is known of the store, which has rows of some time.
func (m *Mirror) forget(rows bool) {
	m.floor = m.past.newest.Load()
	if rows && m.floor == noTime {
		m.floor = math.MaxInt64
	}
	clear(m.latest)
	clear(m.latestNow)
	clear(m.at)
	clear(m.fresh)
	m.run.Reset()
}

// Apply takes over records of a partition, and that the offset to read after them is next, as one.
// An error that wraps topology.ErrUnavailable says that keys could not be decoded now: nothing was
// taken over, and the call may be made again. So it is with Gather.
func (m *Mirror) Apply(partition int32, records []task.Record, next int64) error {
	m.batch.Reset()
	clear(m.fresh)
	if err := m.collect(&m.batch, partition, records); err != nil {
		return err
	}
	m.putPosition(&m.batch, partition, next)
	if err := m.commit(&m.batch, func() error { return m.store.Write(&m.batch) }); err != nil {
		return err
	}
	return m.sweep()
}

// Gather is Apply of what comes, from all partitions, until bound bytes have been gathered, or
// Finish is called. It says whether that was written. It is for a table that nobody reads yet: it
// costs a fraction of as many calls of Apply. Of a store that is no stores.Loader it is Apply.
func (m *Mirror) Gather(partition int32, records []task.Record, next int64, bound int) (written bool, err error) {
	if _, ok := m.store.(stores.Loader); !ok {
		return true, m.Apply(partition, records, next)
	}
	if err := m.collect(&m.run, partition, records); err != nil {
		return false, err
	}
	m.at[partition] = next
	if m.run.Size() < bound {
		return false, nil
	}
	return true, m.Finish()
}

// leastLoad is how large a run is given to a store as a Load: less is a Write, which spares the
// store a file and a flush.
const leastLoad = 1 << 20

// Finish writes what Gather has gathered.
func (m *Mirror) Finish() error {
	if len(m.at) == 0 {
		return nil
	}
	for p, next := range m.at {
		m.putPosition(&m.run, p, next)
	}
	err := m.commit(&m.run, func() error {
		if m.run.Size() >= leastLoad {
			return m.store.(stores.Loader).Load(&m.run)
		}
		m.batch.Reset()
		m.run.Batch(&m.batch)
		return m.store.Write(&m.batch)
	})
	if err != nil {
		return err
	}
	gathered := m.run.Len()
	m.run.Reset()
	clear(m.at)
	clear(m.fresh)
	for left := gathered; ; left -= sweepRows / 2 { // as much as calls of Apply would have swept
		if err := m.sweep(); err != nil || m.past.cursor == nil || left <= 0 {
			return err
		}
	}
}

// rows is a batch or a run.
type rows interface {
	Put(key, value []byte)
	Delete(key []byte)
}

func (m *Mirror) putPosition(to rows, partition int32, next int64) {
	if m.table.Keys != "" {
		to.Put(stores.MetaKey(keysName), []byte(m.table.Keys))
	}
	to.Put(stores.MetaKey(fmt.Sprintf("%s%d", positionPrefix, partition)), appendPosition(nil, next, m.topic))
}

// appendPosition appends a partition's position: the offset in 8 bytes big-endian, the id of the
// topic in 16, and the cluster.
func appendPosition(dst []byte, next int64, topic Topic) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(next))
	return append(append(dst, topic.ID[:]...), topic.Cluster...)
}

// ParsePosition reads a partition's position.
func ParsePosition(b []byte) (next int64, topic Topic, ok bool) {
	const fixed = 8 + len(topic.ID)
	if len(b) < fixed {
		return 0, topic, false
	}
	copy(topic.ID[:], b[8:])
	topic.Cluster = string(b[fixed:])
	return int64(binary.BigEndian.Uint64(b)), topic, true
}

// commit writes what to has.
func (m *Mirror) commit(to rows, write func() error) error {
	// Before the write: a reader that sees a row never sees beside it what it makes too old. For a
	// moment it may see neither.
	m.past.newest.Store(m.putNewest(to))
	if err := write(); err != nil {
		return fmt.Errorf("tables: writing %s: %w", m.table.Topic, err)
	}
	maps.Copy(m.latest, m.latestNow)
	return nil
}

func (m *Mirror) collect(to rows, partition int32, records []task.Record) error {
	for i := range records {
		if err := m.apply(to, partition, &records[i]); err != nil {
			return err
		}
	}
	return nil
}

func (m *Mirror) apply(to rows, partition int32, r *task.Record) error {
	if r.Err != nil {
		m.Malformed.Add(1)
		m.rare.Warn("record passed over", "partition", partition, "offset", r.Offset, "error", r.Err)
		return nil
	}
	if err := m.storeKey(r.Key); errors.Is(err, topology.ErrUnavailable) {
		return err // nothing is wrong with the record
	} else if err != nil {
		m.Malformed.Add(1)
		m.rare.Warn("record has no key that fits the table", "partition", partition, "offset", r.Offset, "error", err)
		return nil
	}
	if r.Value == nil || m.table.Null != nil && m.table.Null(r.Value) {
		if m.table.AppendOnly {
			m.fresh[string(m.key)] = nil
		}
		to.Delete(m.key)
		return nil
	}
	if m.expired(m.key) {
		m.Expired.Add(1)
		return nil
	}
	if m.table.AppendOnly {
		if known, err := m.known(partition, r); known || err != nil {
			return err
		}
		m.fresh[string(m.key)] = r.Value
		if _, at, ok := stores.TableRowTimes(m.key, m.past.tail); ok {
			m.latestNow[partition] = max(m.latestNow[partition], at)
		}
	}
	to.Put(m.key, r.Value)
	return nil
}

var (
	errNoKey    = errors.New("the key is null")
	errNoWindow = errors.New("the key has no window")
)

// storeKey puts the store's key for a record's into m.key. An error says that it is none of this
// table, or with topology.ErrUnavailable that it cannot be told now.
func (m *Mirror) storeKey(key []byte) (err error) {
	kind := m.table.Windows
	if key == nil {
		return errNoKey
	}
	if kind == nil {
		if m.table.PlainKey != nil {
			if key, err = m.table.PlainKey(key); err != nil {
				return err
			}
		}
		m.key = stores.AppendTableKey(m.key[:0], key)
		return nil
	}
	group, w, ok := kind.CutKey(key)
	if !ok {
		return errNoWindow
	}
	m.key = stores.AppendTableWindowKey(m.key[:0], group, int64(w.Start))
	if kind.Form() == windows.FormSession {
		m.key = stores.AppendTableSessionKey(m.key[:0], group, int64(w.Start), int64(w.End))
	}
	return nil
}

// known says whether the table has the row at m.key already: the first one counts, and one that
// differs is a contradiction that must not happen (FIN-5).
func (m *Mirror) known(partition int32, r *task.Record) (bool, error) {
	first, ok := m.fresh[string(m.key)]
	if ok && first == nil {
		return false, nil
	}
	if !ok && m.mayHave(partition) {
		var err error
		if m.value, ok, err = m.store.Get(m.value[:0], m.key); err != nil {
			return false, fmt.Errorf("tables: reading %s: %w", m.table.Topic, err)
		}
		first = m.value
	}
	switch {
	case !ok:
		return false, nil
	case bytes.Equal(first, r.Value):
		m.Duplicates.Add(1)
	default:
		m.Contradictions.Add(1)
		m.rare.Error("a second final row of a window differs from the first, which is kept", "partition", partition,
			"offset", r.Offset)
	}
	return true, nil
}

// mayHave says whether the store may have the row at m.key.
func (m *Mirror) mayHave(partition int32) bool {
	_, at, ok := stores.TableRowTimes(m.key, m.past.tail)
	if !ok {
		return true
	}
	latest, seen := m.latest[partition]
	return at <= m.floor || seen && at <= latest
}
