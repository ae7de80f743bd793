package codecs

import (
	"testing"

	"github.com/cockroachdb/apd/v3"
	"github.com/stretchr/testify/require"
)

// wideNote is note without its limits: what another program may have written.
type wideNote struct {
	ID   string       `ashi:"id,key"`
	Text string       `ashi:"text"`
	More *string      `ashi:"more"`
	Raw  []byte       `ashi:"raw"`
	Size apd.Decimal  `ashi:"size,precision=30,scale=4"`
	Cost *apd.Decimal `ashi:"cost,precision=10,scale=3"`
	Bid  float64      `ashi:"bid"`
}

// A relaxed type is cut and rounded in both directions, each value counted once, and the row that
// is encoded stays as it is.
func TestRelaxedAvro(t *testing.T) {
	s := &shelf{}
	c := Registered(s, Avro[note]())
	of := At[note](c, "notes")
	wide := At[wideNote](Registered(s, Avro[wideNote]()), "notes")
	more, size := "äöü", "12345678901234567890123.45" // so many digits are not inside the Decimal itself
	row := note{ID: "a", Text: "äöüß", More: &more, Raw: []byte{1, 2, 3}, Size: *dec(t, size), Cost: dec(t, "1.005")}
	for range 2 {
		data, err := of.Encode(nil, &row)
		require.NoError(t, err)
		var written wideNote
		require.NoError(t, wide.Decode(data, &written))
		require.Equal(t, []string{"a", "äöü", "äö", "12345678901234567890123.5000", "1.010"},
			[]string{written.ID, written.Text, *written.More, written.Size.Text('f'), written.Cost.Text('f')})
		require.Equal(t, []byte{1, 2}, written.Raw)
	}
	require.Equal(t, map[string]int64{"text": 2, "more": 2, "raw": 2, "size": 2, "cost": 2}, c.Adjusted())
	require.Equal(t, "äöüß", row.Text)
	require.Equal(t, "äöü", more)
	require.Len(t, row.Raw, 3)
	require.Equal(t, size, row.Size.Text('f'))
	require.Equal(t, "1.005", row.Cost.Text('f'))

	text := "abc"
	data, err := wide.Encode(nil, &wideNote{ID: "a", Text: "abcd", More: &text, Raw: []byte{1, 2, 3},
		Size: *dec(t, "1.25"), Cost: dec(t, "9.999")})
	require.NoError(t, err)
	var back note
	require.NoError(t, of.Decode(data, &back))
	require.Equal(t, []string{"abc", "ab", "1.3", "10.00"}, []string{back.Text, *back.More, back.Size.Text('f'),
		back.Cost.Text('f')})
	require.Equal(t, []byte{1, 2}, back.Raw)
	counts := map[string]int64{"text": 3, "more": 3, "raw": 3, "size": 3, "cost": 3}
	require.Equal(t, counts, c.Adjusted())

	// What fits is not counted, with whatever scale it was written.
	data, err = of.Encode(nil, &back)
	require.NoError(t, err)
	require.NoError(t, of.Decode(data, &back))
	data, err = wide.Encode(nil, &wideNote{ID: "a", Size: *dec(t, "1.2"), Cost: dec(t, "9.99")})
	require.NoError(t, err)
	require.NoError(t, of.Decode(data, &back))
	require.Equal(t, []string{"1.2", "9.99"}, []string{back.Size.Text('f'), back.Cost.Text('f')})
	require.Equal(t, counts, c.Adjusted())

	// Keys are not cut, and digits before the point are not dropped.
	for what, bad := range map[string]note{`column "id" has 5 characters`: {ID: "abcde"},
		"does not fit 4 digits": {ID: "a", Cost: dec(t, "100")}} {
		_, err = of.Encode(nil, &bad)
		require.ErrorContains(t, err, what)
	}
	for what, bad := range map[string]wideNote{`column "id" has 5 characters`: {ID: "abcde"},
		"does not fit 4 digits": {ID: "a", Cost: dec(t, "100")}} {
		data, err = wide.Encode(nil, &bad)
		require.NoError(t, err)
		require.ErrorContains(t, of.Decode(data, &back), what)
	}
	require.Equal(t, counts, c.Adjusted())
	require.Nil(t, Registered(s, Avro[wideNote]()).Adjusted(), "strict")
}

// A key that is a struct is a key as a whole, whatever its tags say of rows.
func TestRelaxedKeys(t *testing.T) {
	type key struct {
		_    struct{} `ashi:"relaxed"`
		Pair string   `ashi:"pair,maxlen=3"`
	}
	for _, c := range []Framed[key]{AvroKey[key](), JSONKey[key]()} {
		require.NoError(t, Err[key](c))
		_, err := c.Encode(nil, &key{Pair: "abcd"})
		require.ErrorContains(t, err, `column "pair" has 4 characters`)
		require.Nil(t, c.(Adjuster).Adjusted())
	}
	for _, c := range []Framed[key]{Avro[key](), JSON[key]()} {
		_, err := c.Encode(nil, &key{Pair: "abcd"})
		require.NoError(t, err)
		require.Equal(t, map[string]int64{"pair": 1}, c.(Adjuster).Adjusted())
	}
}
