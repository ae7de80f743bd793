package task

import (
	"encoding/binary"
	"fmt"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/windows"
)

// version is a row of a table that was in force from a time on, until the next version. A deletion
// is one too.
type version struct {
	at    windows.Time
	value []byte // encoded; nil: deleted
}

// history is all versions that a table keeps of a key, the newest first. Each is its time, 8 bytes
// big-endian; the length of its value and 1, or 0 for a deletion, as uvarint; the value.
type history []byte

// next takes the newest version off h, which is not empty.
func (h history) next() (v version, older history, err error) {
	d := decoder{b: h}
	at := d.take(8)
	if n := d.uvarint(); n > 0 {
		v.value = d.take(n - 1)
	}
	if d.bad {
		return v, nil, fmt.Errorf("version of %d bytes: %w", len(h), stores.ErrCorrupt)
	}
	v.at = windows.Time(binary.BigEndian.Uint64(at))
	return v, d.b, nil
}

// asOf is the version that was in force at a time. ok is false if none was; newest, if a newer one
// is kept.
func (h history) asOf(at windows.Time) (v version, newest, ok bool, err error) {
	newest = true
	for len(h) > 0 {
		if v, h, err = h.next(); err != nil || v.at <= at {
			return v, newest, err == nil, err
		}
		newest = false
	}
	return version{}, false, false, nil
}

func (v version) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(v.at))
	if v.value == nil {
		return append(dst, 0)
	}
	dst = binary.AppendUvarint(dst, uint64(len(v.value))+1)
	return append(dst, v.value...)
}

// with appends h to dst with one more version, in place of one of the same time. What was not in
// force any more at the horizon is left out; so is a deletion that was in force then and has none
// before it, as that is no row either way.
func (h history) with(dst history, added version, horizon windows.Time) (history, error) {
	pending := true
	for {
		var v version
		var err error
		older := h
		if len(h) > 0 {
			if v, older, err = h.next(); err != nil {
				return dst, err
			}
		}
		switch {
		case pending && (len(h) == 0 || v.at <= added.at):
			if pending = false; len(h) > 0 && v.at == added.at {
				h = older
			}
			v = added
		case len(h) == 0:
			return dst, nil
		default:
			h = older
		}
		if v.at <= horizon {
			if v.value != nil {
				dst = v.append(dst)
			}
			return dst, nil
		}
		dst = v.append(dst)
	}
}
