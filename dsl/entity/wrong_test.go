package entity

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/stretchr/testify/require"
)

var rewrite = flag.Bool("rewrite", false, "write the golden file of testdata anew")

// mistaken are types with one mistake each, as people make them.
var mistaken = []any{
	struct {
		Pair string `ashi:"pair,kye"`
	}{},
	struct {
		Pair string `ashi:"pair,primary"`
	}{},
	struct {
		_    struct{} `ashi:"topik=rates"`
		Pair string   `ashi:"pair,key"`
	}{},
	struct {
		_    struct{} `ashi:"topic=fx rates"`
		Pair string   `ashi:"pair,key"`
	}{},
	struct {
		_    struct{} `ashi:"table,stream"`
		Pair string   `ashi:"pair,key"`
	}{},
	struct {
		_    struct{} `ashi:"onerror=retry"`
		Pair string   `ashi:"pair,key"`
	}{},
	struct {
		_    struct{} `ashi:"nomirror"`
		Pair string   `ashi:"pair,key"`
	}{},
	struct {
		_    struct{} `ashi:"relaxed=true"`
		Pair string   `ashi:"pair,key"`
	}{},
	struct {
		Venue int32  `ashi:"venue,key=1"`
		Pair  string `ashi:"pair,key=1"`
	}{},
	struct {
		Venue int32  `ashi:"venue,key=1"`
		Pair  string `ashi:"pair,key"`
	}{},
	struct {
		Venue int32 `ashi:"venue,key=0"`
	}{},
	struct {
		Price apd.Decimal `ashi:"price,key"`
	}{},
	struct {
		Pair *string `ashi:"pair,key"`
	}{},
	struct {
		Pair string `ashi:"key"`
		Bid  string `ashi:"key"`
	}{},
	struct {
		Pair string `ashi:"key=1"`
	}{},
	struct {
		Made time.Time `ashi:"made,timestamp"`
		Sent time.Time `ashi:"sent,timestamp"`
	}{},
	struct {
		At string `ashi:"at,timestamp"`
	}{},
	struct {
		At int64 `ashi:"at,timestamp,format=rfc3339"`
	}{},
	struct {
		At time.Time `ashi:"at,format=milliseconds"`
	}{},
	struct {
		At time.Time `ashi:"at,format='Mon, 02 Jan 2006"`
	}{},
	struct {
		At time.Time `ashi:"at,format=Mon, 02 Jan 2006"`
	}{},
	struct {
		Size float64 `ashi:"size,precision=10,scale=2"`
	}{},
	struct {
		Size apd.Decimal `ashi:"size,scale=2"`
	}{},
	struct {
		Size apd.Decimal `ashi:"size,precision=50,scale=2"`
	}{},
	struct {
		Size apd.Decimal `ashi:"size,precision=10,scale=2,default=1.234"`
	}{},
	struct {
		Size apd.Decimal `ashi:"size,default=1e5000"`
	}{},
	struct {
		At time.Time `ashi:"at,format=us,default=9223372036854775807"`
	}{},
	struct {
		Note string `ashi:"note,maxlen=0"`
	}{},
	struct {
		Note string `ashi:"note,maxlen=5,default=unknown"`
	}{},
	struct {
		Count int `ashi:"count,maxlen=5"`
	}{},
	struct {
		Count int `ashi:"count,default=many"`
	}{},
	struct {
		Pair string `ashi:"pair,key,default=EUR/USD"`
	}{},
	struct {
		Done chan int `ashi:"done"`
	}{},
	struct {
		Bare
	}{},
	struct {
		pair string `ashi:"pair,key"`
	}{},
	struct{}{},
}

// Every message must say where the mistake is and what to write in its place. -rewrite writes
// testdata/wrong.txt anew: read it.
func TestMessages(t *testing.T) {
	var b strings.Builder
	for _, row := range mistaken {
		typ := reflect.TypeOf(row)
		for i := range typ.NumField() {
			f := typ.Field(i)
			fmt.Fprintf(&b, "%s %s `%s`\n", f.Name, f.Type, f.Tag)
		}
		m, errs := Of(typ)
		if m != nil {
			b.WriteString("  IS TAKEN\n")
		}
		for _, err := range errs {
			// The types have no names here, and would be told as a whole.
			fmt.Fprintf(&b, "  %s\n", strings.ReplaceAll(err.Error(), typ.String(), "Row"))
		}
		b.WriteString("\n")
	}
	require.NotContains(t, b.String(), "IS TAKEN")
	if *rewrite {
		require.NoError(t, os.WriteFile("testdata/wrong.txt", []byte(b.String()), 0o600))
	}
	want, err := os.ReadFile("testdata/wrong.txt")
	require.NoError(t, err)
	require.Equal(t, string(want), b.String())
}

// Digits that a column has no room for are told apart: those behind the point can be rounded away,
// those before it cannot.
func TestDecimalsThatFit(t *testing.T) {
	c := &Column{Precision: 5, Scale: 2}
	for text, want := range map[string]struct {
		text      string
		exact, ok bool
	}{
		"1.5": {"1.50", true, true}, "-0.005": {"-0.01", false, true}, "0.004": {"0.00", false, true},
		"999.99": {"999.99", true, true}, "999.995": {"", false, false}, "1000": {"", true, false},
		"1e2": {"100.00", true, true}, "1.2500": {"1.25", true, true}, "1e1000": {"", true, false},
	} {
		d, _, err := apd.NewFromString(text)
		require.NoError(t, err)
		before := d.String()
		rounded, exact, ok := c.Round(d)
		require.Equal(t, want.ok, ok, text)
		fitted, fits := c.Fit(d)
		require.Equal(t, want.ok && want.exact, fits, text)
		require.Equal(t, before, d.String(), "it is not changed")
		if ok {
			require.Equal(t, want.exact, exact, text)
			require.Equal(t, want.text, rounded.Text('f'))
		}
		if fits {
			require.Equal(t, want.text, fitted.Text('f'))
		}
	}
	d := apd.New(12345, -4)
	free, ok := (&Column{}).Fit(d)
	require.True(t, ok)
	require.Same(t, d, free)
}
