package stores

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// The first byte of a key is its kind. Kinds never share keys, so that one store can hold all of
// them.
//
//	0x00 name                          a named value (MetaKey)
//	0x01 op(2) start(8) group key      a row of an operator (AppendRowKey)
//	0x02 escaped key 00 01             a row of a table (AppendTableKey)
//	0x02 escaped key 00 01 start(8)    a row of a table of windows (AppendTableWindowKey)
//	0x02 escaped key 00 01 start(8) end(8)  a row of a table of sessions (AppendTableSessionKey)
//
// Numbers are big-endian. In an escaped key each 0x00 is followed by 0xFF; the end, 0x00 0x01,
// sorts before any continuation, so that escaped keys sort as the keys do, and one key's rows are
// neighbours.
//
// Starts are milliseconds since the epoch, from 0 on: a negative start, which is the caller's duty
// to keep out, would sort after all others.
const (
	kindMeta  = 0x00
	kindRow   = 0x01
	kindTable = 0x02
)

const (
	startSize = 8
	rowHeader = 1 + 2 + startSize

	escape     = 0x00
	escapedNul = 0xFF
	escapedEnd = 0x01
)

// MetaKey is the key of a value that a store has once, such as the log position it stands for.
func MetaKey(name string) []byte {
	return append([]byte{kindMeta}, name...)
}

// AppendRowKey appends the key of a row of an operator: the row of groupKey in the window that
// starts at start (milliseconds, at least 0; 0 where there are no windows). A window's rows are
// neighbours and windows follow each other by start, so closing one is one range and expiring it
// one DeleteRange; a row is read by its key alone.
func AppendRowKey(dst []byte, op uint16, start int64, groupKey []byte) []byte {
	return append(appendRowHeader(dst, op, start), groupKey...)
}

// ParseRowKey takes a key of AppendRowKey apart. groupKey is a part of key.
func ParseRowKey(key []byte) (op uint16, start int64, groupKey []byte, err error) {
	if len(key) < rowHeader || key[0] != kindRow {
		return 0, 0, nil, fmt.Errorf("stores: parse row key: %x is not the key of an operator's row", key)
	}
	op = binary.BigEndian.Uint16(key[1:])
	start = int64(binary.BigEndian.Uint64(key[3:]))
	return op, start, key[rowHeader:], nil
}

// RowBounds are the bounds of the rows of one operator in the window that starts at start: from <=
// key < to.
func RowBounds(op uint16, start int64) (from, to []byte) {
	return prefixBounds(appendRowHeader(nil, op, start))
}

// OperatorBounds are the bounds of all rows of one operator: from <= key < to.
func OperatorBounds(op uint16) (from, to []byte) {
	return prefixBounds(binary.BigEndian.AppendUint16([]byte{kindRow}, op))
}

// RowPrefixBounds are the bounds of the rows of one operator, of those that have no window (start
// 0), whose group key begins with the bytes of prefix: from <= key < to.
func RowPrefixBounds(op uint16, prefix []byte) (from, to []byte) {
	return prefixBounds(AppendRowKey(nil, op, 0, prefix))
}

// AppendTableKey appends the key of a table's row. Rows sort as their keys do.
func AppendTableKey(dst, key []byte) []byte {
	return append(appendEscaped(append(dst, kindTable), key), escape, escapedEnd)
}

// AppendTableWindowKey appends the key of a row of a table of windows: the window of key that
// starts at start (milliseconds, at least 0). Rows sort by key, then start.
func AppendTableWindowKey(dst, key []byte, start int64) []byte {
	return binary.BigEndian.AppendUint64(AppendTableKey(dst, key), uint64(start))
}

// AppendTableSessionKey appends the key of a row of a table of sessions: the session of key from
// start to end (milliseconds, at least 0). Rows sort by key, then start, then end.
func AppendTableSessionKey(dst, key []byte, start, end int64) []byte {
	return binary.BigEndian.AppendUint64(AppendTableWindowKey(dst, key, start), uint64(end))
}

// ParseTableKey appends to dst the row's key that AppendTableKey was given.
func ParseTableKey(dst, key []byte) ([]byte, error) {
	row, rest, err := parseTable(dst, key)
	if err != nil {
		return dst, err
	}
	if len(rest) != 0 {
		return dst, fmt.Errorf("stores: parse table key: %x has %d bytes too many for a table without windows", key,
			len(rest))
	}
	return row, nil
}

// ParseTableWindowKey appends to dst the row's key that AppendTableWindowKey or
// AppendTableSessionKey was given, and returns the window's start in milliseconds.
func ParseTableWindowKey(dst, key []byte) (row []byte, start int64, err error) {
	row, rest, err := parseTable(dst, key)
	if err != nil {
		return dst, 0, err
	}
	if len(rest) != startSize && len(rest) != 2*startSize {
		return dst, 0, fmt.Errorf("stores: parse table key: %x has %d bytes for the window's start, not %d", key,
			len(rest), startSize)
	}
	return row, int64(binary.BigEndian.Uint64(rest)), nil
}

// TableRowTimes are the start and the last number of a key of AppendTableWindowKey (tail is 8, both
// are the start) or AppendTableSessionKey (tail is 16, the last is the end), in milliseconds. The
// last numbers of a key's rows ascend as the rows do: sessions of one key do not overlap. ok is
// false of what cannot be such a key.
func TableRowTimes(key []byte, tail int) (start, last int64, ok bool) {
	n := len(key) - tail
	if tail < startSize || n < 3 || key[0] != kindTable || key[n-2] != escape || key[n-1] != escapedEnd {
		return 0, 0, false
	}
	return int64(binary.BigEndian.Uint64(key[n:])), int64(binary.BigEndian.Uint64(key[len(key)-startSize:])), true
}

// AppendAfterTableRows appends the first key behind all rows of the same row's key as that of key,
// one of which TableRowTimes says ok.
func AppendAfterTableRows(dst, key []byte, tail int) []byte {
	n := len(key) - tail
	return append(append(dst, key[:n-1]...), escapedEnd+1)
}

// TableBounds are the bounds of all rows of tables: from <= key < to.
func TableBounds() (from, to []byte) {
	return prefixBounds([]byte{kindTable})
}

// TableKeyBounds are the bounds of the row of a key, or of all its windows: from <= key < to.
func TableKeyBounds(key []byte) (from, to []byte) {
	return prefixBounds(AppendTableKey(nil, key))
}

// TableTimeBounds are the bounds of the windows of a key that start at fromStart or later and
// before toStart, in milliseconds. Times before 0 count as 0. Nothing lies between the bounds when
// the times hold nothing.
func TableTimeBounds(key []byte, fromStart, toStart int64) (from, to []byte) {
	return AppendTableWindowKey(nil, key, max(fromStart, 0)), AppendTableWindowKey(nil, key, max(toStart, 0))
}

// TablePrefixBounds are the bounds of the rows whose key begins with the bytes of prefix: from <=
// key < to.
func TablePrefixBounds(prefix []byte) (from, to []byte) {
	return prefixBounds(appendEscaped([]byte{kindTable}, prefix))
}

func appendRowHeader(dst []byte, op uint16, start int64) []byte {
	dst = binary.BigEndian.AppendUint16(append(dst, kindRow), op)
	return binary.BigEndian.AppendUint64(dst, uint64(start))
}

// prefixBounds are prefix and the first key after all that begin with it. There is one: no kind
// byte is 0xFF.
func prefixBounds(prefix []byte) (from, to []byte) {
	last := len(prefix) - 1
	for prefix[last] == 0xFF {
		last--
	}
	to = bytes.Clone(prefix[:last+1])
	to[last]++
	return prefix, to
}

func appendEscaped(dst, key []byte) []byte {
	for {
		i := bytes.IndexByte(key, escape)
		if i < 0 {
			return append(dst, key...)
		}
		dst = append(append(dst, key[:i]...), escape, escapedNul)
		key = key[i+1:]
	}
}

// parseTable appends the unescaped key to dst and returns what follows its end.
func parseTable(dst, key []byte) (row, rest []byte, err error) {
	if len(key) == 0 || key[0] != kindTable {
		return dst, nil, fmt.Errorf("stores: parse table key: %x is not the key of a table's row", key)
	}
	row, rest = dst, key[1:]
	for {
		i := bytes.IndexByte(rest, escape)
		if i < 0 || i+1 == len(rest) {
			return dst, nil, fmt.Errorf("stores: parse table key: %x has no end", key)
		}
		row = append(row, rest[:i]...)
		mark := rest[i+1]
		rest = rest[i+2:]
		switch mark {
		case escapedEnd:
			return row, rest, nil
		case escapedNul:
			row = append(row, 0x00)
		default:
			return dst, nil, fmt.Errorf("stores: parse table key: %x has byte %#x after a zero", key, mark)
		}
	}
}
