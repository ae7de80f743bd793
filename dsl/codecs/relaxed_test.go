package codecs

import (
	"strings"
	"testing"

	"github.com/cockroachdb/apd/v3"
	"github.com/stretchr/testify/require"
)

type note struct {
	_    struct{}     `ashi:"relaxed"`
	ID   string       `ashi:"id,key,maxlen=4"`
	Text string       `ashi:"text,maxlen=3"`
	More *string      `ashi:"more,maxlen=2"`
	Raw  []byte       `ashi:"raw,maxlen=2"`
	Size apd.Decimal  `ashi:"size,precision=24,scale=1"`
	Cost *apd.Decimal `ashi:"cost,precision=4,scale=2"`
	Bid  float64      `ashi:"bid"`
}

func dec(t *testing.T, text string) *apd.Decimal {
	t.Helper()
	d, _, err := apd.NewFromString(text)
	require.NoError(t, err)
	return d
}

// A relaxed type is cut and rounded in both directions, each value counted once, and the row that
// is encoded stays as it is.
func TestRelaxedJSON(t *testing.T) {
	c := JSON[note]()
	more, size := "äöü", "12345678901234567890123.45" // so many digits are not inside the Decimal itself
	row := note{ID: "a", Text: "äöüß", More: &more, Raw: []byte{1, 2, 3}, Size: *dec(t, size), Cost: dec(t, "1.005")}
	const fits = `{"id":"a","text":"äöü","more":"äö","raw":"AQI=","size":12345678901234567890123.5,"cost":1.01,"bid":0}`
	for range 2 {
		data, err := c.Encode(nil, &row)
		require.NoError(t, err)
		require.JSONEq(t, fits, string(data))
	}
	require.Equal(t, map[string]int64{"text": 2, "more": 2, "raw": 2, "size": 2, "cost": 2}, c.Adjusted())
	require.Equal(t, "äöüß", row.Text)
	require.Equal(t, "äöü", more)
	require.Len(t, row.Raw, 3)
	require.Equal(t, size, row.Size.Text('f'))
	require.Equal(t, "1.005", row.Cost.Text('f'))

	var back note
	require.NoError(t,
		c.Decode([]byte(`{"id":"a","text":"abcd","more":"abc","raw":"AQID","size":1.25,"cost":"9.999","bid":"NaN"}`),
			&back))
	require.Equal(t, []string{"abc", "ab", "1.3", "10.00"}, []string{back.Text, *back.More, back.Size.Text('f'),
		back.Cost.Text('f')})
	require.Equal(t, []byte{1, 2}, back.Raw)
	require.Equal(t, map[string]int64{"text": 3, "more": 3, "raw": 3, "size": 3, "cost": 3}, c.Adjusted())

	// What fits is not counted.
	data, err := c.Encode(nil, &back)
	require.NoError(t, err)
	require.NoError(t, c.Decode(data, &back))
	require.Equal(t, map[string]int64{"text": 3, "more": 3, "raw": 3, "size": 3, "cost": 3}, c.Adjusted())

	// Keys are not cut, and digits before the point are not dropped.
	for what, bad := range map[string]note{`column "id" has 5 characters`: {ID: "abcde"},
		"does not fit 4 digits": {ID: "a", Cost: dec(t, "100")}} {
		_, err = c.Encode(nil, &bad)
		require.ErrorContains(t, err, what)
	}
	require.ErrorContains(t, c.Decode([]byte(`{"id":"abcde"}`), &back), `column "id" has 5 characters`)
	require.ErrorContains(t, c.Decode([]byte(`{"cost":100}`), &back), "does not fit 4 digits")
	require.ErrorContains(t, c.Decode([]byte(`{"text":5}`), &back), "string",
		"what is of another type is no value at all")
}

func TestRelaxedFixed(t *testing.T) {
	type row struct {
		_    struct{} `ashi:"relaxed"`
		ID   string   `ashi:"id,key,maxlen=4"`
		Text string   `ashi:"text,maxlen=3"`
		Raw  []byte   `ashi:"raw,maxlen=2"`
	}
	type strict struct {
		ID   string `ashi:"id,key"`
		Text string `ashi:"text"`
		Raw  []byte `ashi:"raw"`
	}
	c := Fixed[row]()
	r := row{ID: "a", Text: "abcd", Raw: []byte{1, 2, 3}}
	data, err := c.Encode(nil, &r)
	require.NoError(t, err)
	require.Equal(t, "\x03abc\x02\x01\x02", string(data))
	require.Equal(t, "abcd", r.Text)
	long, err := Fixed[strict]().Encode(nil, &strict{"a", "abcd", []byte{1, 2, 3}})
	require.NoError(t, err)
	var back row
	require.NoError(t, c.Decode(long, &back))
	require.Equal(t, row{Text: "abc", Raw: []byte{1, 2}}, back)
	require.Equal(t, map[string]int64{"text": 2, "raw": 2}, c.Adjusted())
	_, err = c.Encode(nil, &row{ID: strings.Repeat("a", 5)})
	require.ErrorContains(t, err, `column "id" has 5 characters`)

	require.Nil(t, Fixed[strict]().Adjusted())
	require.Nil(t, JSON[strict]().Adjusted())
}
