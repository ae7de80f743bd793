package aggregates_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
)

// A panic in Add leaves every accumulator as it was, also those of Customs that had run before it
// and have changed what their State refers to.
func TestPanicInAddLeavesTheRowAlone(t *testing.T) {
	b := over(t, merges, func(g rows) string {
		return show(aggregates.Count(g), aggregates.Custom(g, letters, ps), aggregates.Custom(g, product, n),
			aggregates.Custom(g, moody, n), aggregates.Sum(g, n))
	})
	text := "b"
	bad := quote{n: 4, ps: &text}
	s := aggregates.NewState(b.program)
	empty, err := b.program.Append(nil, s)
	require.NoError(t, err)
	require.EqualError(t, b.add(s, bad, aggregates.At{}), `aggregates: Custom "moody" panicked: 4`)
	after, err := b.program.Append(nil, s)
	require.NoError(t, err)
	require.Equal(t, empty, after, "the first row of a state")

	a := "a"
	require.NoError(t, b.add(s, quote{n: 1, ps: &a}, aggregates.At{}))
	want := b.result(s)
	require.Equal(t, `1|"a"|3|1|1|`, want)
	require.Error(t, b.add(s, bad, aggregates.At{}))
	require.Equal(t, want, b.result(s))
	require.NoError(t, b.add(s, quote{n: 2, ps: &text}, aggregates.At{}))
	require.Equal(t, `2|"ab"|15|2|3|`, b.result(s))
}

// Every function of a Custom may panic, and Decode may fail; all become errors.
func TestCustomsThatFail(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		change func(*aggregates.Definition[int32, []byte, int])
		fails  func(table[int], aggregates.State) error
		is     error
	}{
		"Init": {
			func(d *aggregates.Definition[int32, []byte, int]) { d.Init = func() []byte { panic(broken) } },
			func(b table[int], s aggregates.State) error {
				return b.add(aggregates.NewState(b.program), quote{n: 1}, aggregates.At{})
			}, nil},
		"Encode": {
			func(d *aggregates.Definition[int32, []byte, int]) {
				d.Encode = func([]byte, []byte) []byte { panic(broken) }
			},
			func(b table[int], s aggregates.State) error { _, err := b.program.Append(nil, s); return err }, nil},
		"Encode in Add": {
			func(d *aggregates.Definition[int32, []byte, int]) {
				d.Encode = func([]byte, []byte) []byte { panic(broken) }
			},
			func(b table[int], s aggregates.State) error { return b.add(s, quote{n: 1}, aggregates.At{}) }, nil},
		"Decode": {
			func(d *aggregates.Definition[int32, []byte, int]) {
				d.Decode = func([]byte) ([]byte, error) { return nil, broken }
			},
			func(b table[int], s aggregates.State) error { return reload(b, s) }, aggregates.ErrState},
		"panic in Decode": {
			func(d *aggregates.Definition[int32, []byte, int]) {
				d.Decode = func([]byte) ([]byte, error) { panic(broken) }
			},
			func(b table[int], s aggregates.State) error { return reload(b, s) }, aggregates.ErrState},
		"Decode when Add has panicked": {
			func(d *aggregates.Definition[int32, []byte, int]) {
				d.Decode = func([]byte) ([]byte, error) { return nil, broken }
			},
			func(b table[int], s aggregates.State) error { return b.add(s, quote{n: 4}, aggregates.At{}) },
			aggregates.ErrState},
		"Merge": {
			func(d *aggregates.Definition[int32, []byte, int]) {
				d.Merge = func(a, b []byte) []byte { panic(broken) }
			},
			func(b table[int], s aggregates.State) error {
				return b.program.Merge(aggregates.NewState(b.program), s)
			}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := moody
			c.change(&d)
			b := over(t, merges, func(g rows) int { return aggregates.Custom(g, d, n) })
			s := aggregates.NewState(b.program)
			if name != "Init" {
				require.NoError(t, b.add(s, quote{n: 1}, aggregates.At{}))
			}
			err := c.fails(b, s)
			require.Error(t, err)
			require.ErrorContains(t, err, "broken")
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
		})
	}
}

func reload(b table[int], s aggregates.State) error {
	stored, err := b.program.Append(nil, s)
	if err != nil {
		return err
	}
	return b.program.Load(aggregates.NewState(b.program), stored)
}
