package codecs

import (
	"reflect"
	"sync/atomic"
	"unicode/utf8"
	"unsafe"

	"github.com/cockroachdb/apd/v3"

	"github.com/ashi-stream/ashi/dsl/entity"
)

// Adjuster is a codec that may change values to fit their columns: rows of a type that is tagged
// relaxed.
type Adjuster interface {
	// Adjusted is how many values of each column were cut or rounded by this codec so far, in
	// either direction; nil: it changes none, as the type is not relaxed. A row that is decoded
	// twice counts twice.
	Adjusted() map[string]int64
}

// relaxed makes the values of rows fit their columns, and counts. It is nil in a strict codec.
type relaxed struct {
	columns  []entity.Column
	texts    limits
	decimals []int // indices into columns
	counts   []atomic.Int64
}

// relaxedOf is nil if m is strict.
func relaxedOf(m *entity.Model) *relaxed {
	if !m.Relaxed {
		return nil
	}
	r := &relaxed{columns: m.Columns, counts: make([]atomic.Int64, len(m.Columns))}
	for _, l := range limitsOf(m) {
		if !m.Columns[l.column].Key { // a key that was cut would be another one
			r.texts = append(r.texts, l)
		}
	}
	for i := range m.Columns {
		if c := &m.Columns[i]; c.Precision > 0 {
			r.decimals = append(r.decimals, i)
		}
	}
	return r
}

// adjusted is what [Adjuster] tells.
func (r *relaxed) adjusted() map[string]int64 {
	if r == nil {
		return nil
	}
	counts := map[string]int64{}
	for i := range r.counts {
		if n := r.counts[i].Load(); n > 0 {
			counts[r.columns[i].Name] = n
		}
	}
	return counts
}

// fitted is v, or if values of it do not fit, a copy of which they do: what is encoded stays as it
// is.
func fitted[T any](r *relaxed, v *T) *T {
	if r == nil || r.fits(unsafe.Pointer(v)) {
		return v
	}
	own := *v
	r.adjust(unsafe.Pointer(&own))
	return &own
}

func (r *relaxed) fits(row unsafe.Pointer) bool {
	if r.texts.check(row) != nil {
		return false
	}
	for _, i := range r.decimals {
		if d := r.decimal(i, row); d != nil {
			if _, exact, ok := r.columns[i].Round(d); ok && !exact {
				return false
			}
		}
	}
	return true
}

// adjust cuts and rounds. What has no room before the point stays, and is refused where it is
// written. Nothing is written to what pointers of the row point to: others may have it too.
func (r *relaxed) adjust(row unsafe.Pointer) {
	for i := range r.texts {
		l := &r.texts[i]
		if at := unsafe.Add(row, l.offset); l.check(at) != nil {
			l.cut(at)
			r.counts[l.column].Add(1)
		}
	}
	for _, i := range r.decimals {
		d := r.decimal(i, row)
		if d == nil {
			continue
		}
		rounded, exact, ok := r.columns[i].Round(d)
		if !ok || exact {
			continue
		}
		r.counts[i].Add(1)
		at := unsafe.Add(row, r.columns[i].Offset)
		if r.columns[i].Type.Kind() == reflect.Pointer {
			*(**apd.Decimal)(at) = rounded
			continue
		}
		*(*apd.Decimal)(at) = apd.Decimal{} // its digits may be those of the row that this is a copy of
		(*apd.Decimal)(at).Set(rounded)
	}
}

// decimal is that of a column; nil: there is no number.
func (r *relaxed) decimal(i int, row unsafe.Pointer) *apd.Decimal {
	at := unsafe.Add(row, r.columns[i].Offset)
	d := (*apd.Decimal)(at)
	if r.columns[i].Type.Kind() == reflect.Pointer {
		d = *(**apd.Decimal)(at)
	}
	if d == nil || d.Form != apd.Finite || d.Exponent > maxExponent || d.Exponent < -maxExponent {
		return nil
	}
	return d
}

// cut leaves of a value what its limit allows: whole characters of text.
func (l *limit) cut(at unsafe.Pointer) {
	if !l.text {
		b := (*[]byte)(at)
		*b = (*b)[:l.length:l.length]
		return
	}
	text := (*string)(at)
	if l.null {
		text = *(**string)(at)
	}
	short := *text
	end := 0
	for range l.length {
		_, n := utf8.DecodeRuneInString(short[end:])
		end += n
	}
	short = short[:end]
	if l.null {
		*(**string)(at) = &short
		return
	}
	*text = short
}

// strict is the model of what is a key as a whole: cut, it would be another one.
func strict(m *entity.Model, errs []error) (*entity.Model, []error) {
	if m == nil || !m.Relaxed {
		return m, errs
	}
	own := *m
	own.Relaxed = false
	return &own, errs
}
