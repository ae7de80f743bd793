package windows

import "encoding/binary"

// timeBytes is the length of a time in a key.
const timeBytes = 8

// KeyBytes is how many bytes a window takes at the end of a windowed key: 8, of sessions 16, of
// unbounded windows 0.
func (k Kind) KeyBytes() int {
	switch k.form {
	case FormSession:
		return 2 * timeBytes
	case FormUnbounded:
		return 0
	}
	return timeBytes
}

// AppendKey appends a window to the group's key in dst, as Kafka Streams' windowed serializers do:
// the start, in 8 bytes big-endian; of sessions the end, then the start.
func (k Kind) AppendKey(dst []byte, w Window) []byte {
	switch k.form {
	case FormSession:
		dst = binary.BigEndian.AppendUint64(dst, uint64(w.End))
	case FormUnbounded:
		return dst
	}
	return binary.BigEndian.AppendUint64(dst, uint64(w.Start))
}

// CutKey takes a windowed key apart. It is false for a key that is too short, or has a window
// before 1970 or that ends before it starts.
func (k Kind) CutKey(key []byte) (group []byte, w Window, ok bool) {
	n := len(key) - k.KeyBytes()
	if n < 0 {
		return nil, Window{}, false
	}
	group, key = key[:n:n], key[n:]
	switch k.form {
	case FormUnbounded:
		return group, Window{End: k.End(0)}, true
	case FormSession:
		w.End, w.Start = Time(binary.BigEndian.Uint64(key)), Time(binary.BigEndian.Uint64(key[timeBytes:]))
	default:
		w.Start = Time(binary.BigEndian.Uint64(key))
		w.End = k.End(max(w.Start, 0))
	}
	return group, w, w.Start >= 0 && w.End >= w.Start
}
