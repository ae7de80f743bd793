package task

import (
	"encoding/binary"
	"errors"
)

// What goes between a foreignJoin and its subscriptions. The key of an order is the foreign key,
// that of an answer the left row's; the event time of an order is the left row's, of an answer that
// of the right row or of its deletion, and where there is no row that of the order.

// order asks for the row of a foreign key, now and whenever it changes, until it is taken back.
//
//	1 byte: 1 asks, 0 takes back; uvarint: partition of the left task; key of the left row
type order struct {
	on        bool
	partition int32
	key       []byte
}

// answer is a row that was asked for.
//
//	uvarint: length of the foreign key; foreign key; 1 byte: 1 there is a row, 0 there is none; row, with its form (topology.Rows.OpenWire)
type answer struct {
	foreign []byte
	row     []byte // nil: there is none
}

// Errors of what comes from an internal topic.
var (
	errOrder  = errors.New("task: an order of a foreign key join cannot be read: somebody else writes to its topic")
	errAnswer = errors.New("task: an answer of a foreign key join cannot be read: somebody else writes to its topic")
)

func (o order) append(dst []byte) []byte {
	return append(binary.AppendUvarint(appendFlag(dst, o.on), uint64(o.partition)), o.key...)
}

func parseOrder(b []byte) (order, error) {
	d := decoder{b: b}
	on, partition := d.flag(), d.uvarint()
	if d.bad || partition > 1<<31-1 {
		return order{}, errOrder
	}
	return order{on: on, partition: int32(partition), key: d.b}, nil
}

func (a answer) append(dst []byte) []byte {
	dst = appendBytes(dst, a.foreign)
	return append(appendFlag(dst, a.row != nil), a.row...)
}

func parseAnswer(b []byte) (answer, error) {
	d := decoder{b: b}
	a := answer{foreign: d.take(d.uvarint())}
	switch there := d.flag(); {
	case d.bad || !there && len(d.b) > 0:
		return answer{}, errAnswer
	case there:
		a.row = d.b[:len(d.b):len(d.b)]
	}
	return a, nil
}

func appendFlag(dst []byte, on bool) []byte {
	if on {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// appendBytes appends the length of b and b.
func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// flag is a byte of 0 or 1.
func (d *decoder) flag() bool {
	b := d.take(1)
	if d.bad || b[0] > 1 {
		d.bad = true
		return false
	}
	return b[0] == 1
}

// appendPartition appends what a subscription's row holds.
func appendPartition(dst []byte, partition int32) []byte {
	return binary.AppendUvarint(dst, uint64(partition))
}

func parsePartition(b []byte) (int32, error) {
	d := decoder{b: b}
	partition := d.uvarint()
	if d.bad || len(d.b) > 0 || partition > 1<<31-1 {
		return 0, ErrDamaged
	}
	return int32(partition), nil
}
