package task

import (
	"fmt"
	"slices"

	"github.com/ashi-stream/ashi/topology"
)

// A row in the state of an operator begins with a byte: which of the forms that rows of its kind
// have had is its own. The commit record has them (topology.Forms), so that a plan with other
// columns reads what those of before have left, and writes its own. Rows are not written again for
// that.

// formsOf are the forms that rows of an operator have had.
func (t *Task) formsOf(name, of string) []string {
	for _, o := range t.progress.Operators {
		for _, r := range o.Rows {
			if o.Name == name && r.Of == of {
				return r.Forms
			}
		}
	}
	return nil
}

// encoder writes rows of the plan's form. adopt has given it its place.
func (t *Task) encoder(name, of string, rows *topology.Rows) func(row any, dst []byte) ([]byte, error) {
	number := byte(slices.Index(t.formsOf(name, of), rows.Form))
	encode, _ := rows.Open()
	return func(row any, dst []byte) ([]byte, error) { return encode(row, append(dst, number)) }
}

// decoder reads rows of all forms. Its row is good until the next call.
func (t *Task) decoder(name, of string, rows *topology.Rows) func(b []byte) (any, error) {
	forms := t.formsOf(name, of)
	decoders := make([]func([]byte) (any, error), len(forms))
	return func(b []byte) (any, error) {
		if len(b) == 0 || int(b[0]) >= len(forms) {
			return nil, fmt.Errorf("a row of %d bytes has no form: %w", len(b), ErrDamaged)
		}
		n := b[0]
		if decoders[n] == nil {
			open, err := rows.From(forms[n])
			if err != nil {
				return nil, err // adopt has looked
			}
			decoders[n] = open()
		}
		return decoders[n](b[1:])
	}
}
