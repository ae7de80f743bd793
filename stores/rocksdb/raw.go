//go:build cgo

package rocksdb

/*
#include <stdint.h>
#include <string.h>
#include "rocksdb/c.h"

// ashi_get copies the value of a key into buf, if it has room, and returns its length; -1: there is none, or *err is set.
static int64_t ashi_get(rocksdb_t* db, rocksdb_readoptions_t* options, const char* key, size_t key_length, char* buf, size_t room, char** err) {
	rocksdb_pinnableslice_t* found = rocksdb_get_pinned(db, options, key, key_length, err);
	if (found == NULL) return -1;
	size_t length;
	const char* value = rocksdb_pinnableslice_value(found, &length);
	if (length <= room && length > 0) memcpy(buf, value, length);
	rocksdb_pinnableslice_destroy(found);
	return (int64_t)length;
}

// ashi_rows copies rows into buf until it is full or the iterator is at its end, and moves the iterator behind them: of each row both lengths, key,
// value. It returns how many bytes that are. *next is what the row needs for which there was no room; 0 at the end.
static size_t ashi_rows(rocksdb_iterator_t* it, char* buf, size_t room, size_t* next) {
	size_t used = 0;
	*next = 0;
	while (rocksdb_iter_valid(it)) {
		size_t lengths[2];
		const char* key = rocksdb_iter_key(it, &lengths[0]);
		const char* value = rocksdb_iter_value(it, &lengths[1]);
		size_t size = sizeof(lengths) + lengths[0] + lengths[1];
		if (size > room - used) {
			*next = size;
			break;
		}
		memcpy(buf + used, lengths, sizeof(lengths));
		memcpy(buf + used + sizeof(lengths), key, lengths[0]);
		if (lengths[1] > 0) memcpy(buf + used + sizeof(lengths) + lengths[0], value, lengths[1]);
		used += size;
		rocksdb_iter_next(it);
	}
	return used;
}

// None of it calls Go, nor keeps an address.
#cgo noescape ashi_get
#cgo nocallback ashi_get
#cgo noescape ashi_rows
#cgo nocallback ashi_rows
*/
import "C"

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	"github.com/linxGnu/grocksdb"

	"github.com/ashi-stream/ashi/stores"
)

// Reads cross into C once: by grocksdb a Get is four calls, and a row of a Scan four more, with as
// many allocations, which cost more than what RocksDB does in them. grocksdb does not give its
// handles away, so they are taken: each is the first field of its struct, c, in all releases from
// 1.7 to 1.10. checkHandles makes sure of it.

// checkHandles fails where grocksdb is not as it was.
func checkHandles() error {
	for _, t := range []reflect.Type{reflect.TypeFor[grocksdb.DB](), reflect.TypeFor[grocksdb.ReadOptions](),
		reflect.TypeFor[grocksdb.Iterator]()} {
		if f := t.Field(0); f.Name != "c" || f.Type.Kind() != reflect.Pointer {
			return fmt.Errorf("this release of grocksdb does not fit: %v begins with %s %v", t, f.Name, f.Type)
		}
	}
	return nil
}

func rawDB(db *grocksdb.DB) *C.rocksdb_t { return *(**C.rocksdb_t)(unsafe.Pointer(db)) }

func rawRead(o *grocksdb.ReadOptions) *C.rocksdb_readoptions_t {
	return *(**C.rocksdb_readoptions_t)(unsafe.Pointer(o))
}

func rawIterator(it *grocksdb.Iterator) *C.rocksdb_iterator_t {
	return *(**C.rocksdb_iterator_t)(unsafe.Pointer(it))
}

// usualValue is room for most values.
const usualValue = 256

// get appends the value of key to dst.
func (s *Store) get(dst, key []byte) (value []byte, ok bool, err error) {
	had := len(dst)
	room := dst
	if cap(room)-had < usualValue {
		room = append(make([]byte, 0, had+usualValue), dst...)
	}
	for {
		free := room[had:cap(room)]
		var failed *C.char
		n := C.ashi_get(rawDB(s.db), rawRead(s.read), (*C.char)(unsafe.Pointer(unsafe.SliceData(key))),
			C.size_t(len(key)), (*C.char)(unsafe.Pointer(unsafe.SliceData(free))), C.size_t(len(free)), &failed)
		switch {
		case failed != nil:
			defer C.rocksdb_free(unsafe.Pointer(failed))
			return dst, false, errors.New(C.GoString(failed))
		case n < 0:
			return dst, false, nil
		case int(n) <= len(free):
			return room[:had+int(n)], true, nil
		}
		room = append(make([]byte, 0, had+int(n)), dst...) // and look again: it may have changed
	}
}

const (
	firstRows = 2 << 10 // many scans want a row
	mostRows  = 32 << 10
	rowHeader = 2 * C.sizeof_size_t
)

// rows is a piece of a Scan, copied out of an iterator.
type rows struct {
	it   *grocksdb.Iterator
	buf  []byte
	left []byte // of buf, not given out yet
}

// next is the next row; false at the end, or at the iterator's error. It is valid until the call
// after it.
func (r *rows) next() (e stores.Entry, ok bool) {
	if len(r.left) == 0 && !r.fill() {
		return e, false
	}
	key := binary.NativeEndian.Uint64(r.left) // of 8 bytes wherever RocksDB runs
	end := binary.NativeEndian.Uint64(r.left[rowHeader/2:]) + key + rowHeader
	e.Key, e.Value = r.left[rowHeader:rowHeader+key:rowHeader+key], r.left[rowHeader+key:end:end]
	r.left = r.left[end:]
	return e, true
}

// fill takes rows from the iterator: few at first, then more at a time.
func (r *rows) fill() bool {
	size := min(max(4*len(r.buf), firstRows), max(mostRows, len(r.buf)))
	if size > len(r.buf) {
		r.buf = make([]byte, size)
	}
	for {
		var next C.size_t
		n := C.ashi_rows(rawIterator(r.it), (*C.char)(unsafe.Pointer(&r.buf[0])), C.size_t(len(r.buf)), &next)
		if n > 0 || next == 0 {
			r.left = r.buf[:n]
			return n > 0
		}
		r.buf = make([]byte, next)
	}
}
