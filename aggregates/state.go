package aggregates

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrState says that stored state cannot be read: it is damaged, or the Decode of a [Definition] is
// wrong.
var ErrState = errors.New("aggregates: state cannot be read")

// State is what the accumulators of one group and window know: Program.Size bytes, all 0 at the
// start; Program.Vars parts of any length, empty at the start; and Program.Objs objects, nil until
// something is added to them.
type State struct {
	Fixed []byte
	Vars  [][]byte
	Objs  []Object
}

// Object is the state of an accumulator that would be too slow as bytes: a set, a list, a sketch.
// It belongs to one State.
type Object interface {
	// Append appends the object as it is stored; nothing if it is as good as nil. The bytes depend
	// on the history of the state only: equal input in equal order gives equal bytes.
	Append(dst []byte) []byte
	// Bytes is roughly the memory that it takes. It may cost as much as Append.
	Bytes() int
}

// At is where a row stands.
type At struct {
	// Time is the row's event time, in milliseconds since 1970.
	Time int64
	// Seq is the row's place in the order of processing: larger than that of any row before it in
	// the task, across restarts too.
	Seq int64
}

// NewState is an empty state of p.
func NewState(p Aggregator) State {
	return State{Fixed: make([]byte, p.Size()), Vars: make([][]byte, p.Vars()), Objs: make([]Object, p.Objs())}
}

// Bytes is roughly the memory that the objects of s take. It may cost as much as Append.
func (s State) Bytes() int {
	n := 0
	for _, o := range s.Objs {
		if o != nil {
			n += o.Bytes()
		}
	}
	return n
}

// Append appends s as it is stored: Fixed, then each part and each object with its length before it
// as a uvarint. It fails where the Encode of a Custom panics.
func (p *Program[T]) Append(dst []byte, s State) (_ []byte, err error) {
	if p.user {
		defer guard("Encode", &err)
	}
	dst = append(dst, s.Fixed...)
	for _, v := range s.Vars {
		dst = binary.AppendUvarint(dst, uint64(len(v)))
		dst = append(dst, v...)
	}
	for _, o := range s.Objs {
		if o == nil {
			dst = append(dst, 0)
			continue
		}
		start := len(dst)
		dst = lengthBefore(o.Append(dst), start)
	}
	return dst, nil
}

// lengthBefore puts the length of b[start:] before it, as a uvarint.
func lengthBefore(b []byte, start int) []byte {
	n := len(b) - start
	b = binary.AppendUvarint(b, uint64(n))
	var length [binary.MaxVarintLen64]byte
	w := copy(length[:], b[start+n:])
	copy(b[start+w:], b[start:start+n])
	copy(b[start:], length[:w])
	return b
}

// Load fills s, a state of p of whatever content, from what Append wrote. It copies: b may be
// reused. Its errors wrap ErrState, and s is then of no use.
func (p *Program[T]) Load(s State, b []byte) (err error) {
	if p.user {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("%w: a Custom panicked in Decode: %v", ErrState, r)
			}
		}()
	}
	if len(b) < len(s.Fixed) {
		return fmt.Errorf("%w: row of %d bytes, want at least %d", ErrState, len(b), len(s.Fixed))
	}
	b = b[copy(s.Fixed, b):]
	for i := range s.Vars {
		n, w := binary.Uvarint(b)
		if w <= 0 || n > uint64(len(b)-w) {
			return fmt.Errorf("%w: row ends in part %d of %d", ErrState, i+1, len(s.Vars))
		}
		s.Vars[i] = append(s.Vars[i][:0], b[w:w+int(n)]...)
		b = b[w+int(n):]
	}
	for i, o := range p.objects {
		n, w := binary.Uvarint(b)
		if w <= 0 || n > uint64(len(b)-w) {
			return fmt.Errorf("%w: row ends in object %d of %d", ErrState, i+1, len(s.Objs))
		}
		s.Objs[i] = nil
		if n > 0 {
			if s.Objs[i], err = p.ops[o].keeper.load(b[w : w+int(n)]); err != nil {
				return fmt.Errorf("%w: %v: %w", ErrState, p.ops[o], err)
			}
		}
		b = b[w+int(n):]
	}
	if len(b) != 0 {
		return fmt.Errorf("%w: row has %d bytes too many", ErrState, len(b))
	}
	return nil
}

// guard turns a panic in a function of the user's into an error that says in which.
func guard(function string, err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("aggregates: a Custom panicked in %s: %v", function, r)
	}
}
