package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// gzipped writes text to a file and returns its name.
func gzipped(t *testing.T, name, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return written(t, name, b.Bytes())
}

func written(t *testing.T, name string, b []byte) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(name, b, 0o600))
	return name
}

// collect is all ticks of a source, and the error that ended them.
func collect(s source) (ticks []Tick, err error) {
	for t, err := range s.ticks {
		if err != nil {
			return ticks, err
		}
		ticks = append(ticks, t)
	}
	return ticks, nil
}

func TestFilesAreMergedByTime(t *testing.T) {
	a := gzipped(t, "a-ticks.csv.gz", tickHeader+
		"\nEUR/USD,1000,1.1,1.25\nEUR/USD,3000,1.2,1.3\r\nEUR/USD,2900,1.2,1.3\n")
	b := gzipped(t, "b-ticks.csv.gz", tickHeader+"\nAUD/USD,1000,0.91234,0.9\nAUD/USD,2950,0.9,1\n")
	empty := gzipped(t, "c-ticks.csv.gz", tickHeader+"\n")
	want := []Tick{
		{"AUD/USD", 0.91234, 0.9, time.UnixMilli(1000).UTC()},
		{"EUR/USD", 1.1, 1.25, time.UnixMilli(1000).UTC()},
		{"AUD/USD", 0.9, 1, time.UnixMilli(2950).UTC()},
		{"EUR/USD", 1.2, 1.3, time.UnixMilli(3000).UTC()},
		{"EUR/USD", 1.2, 1.3, time.UnixMilli(2900).UTC()},
	}
	for _, names := range [][]string{{a, b, empty}, {empty, b, a}} {
		s := tickFiles(names)
		got, err := collect(s)
		require.NoError(t, err)
		require.Equal(t, want, got, "whatever the order of the names")
		require.Equal(t, map[string]int{"EUR/USD": 2, "AUD/USD": 5}, s.digits)
	}
	for range tickFiles([]string{a, b}).ticks {
		break // files are closed nevertheless: the race detector and goleak look on
	}
}

func TestMalformedFilesAreNamed(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no header":      {"", "line 1: the header is missing"},
		"other header":   {"time,bid\n", `line 1: "time,bid" is not the header`},
		"few fields":     {tickHeader + "\nEUR/USD,1,1.1\n", `line 2: "EUR/USD,1,1.1" has 3 fields`},
		"blank line":     {tickHeader + "\nEUR/USD,1,1.1,1.2\n\n", "line 3"},
		"no pair":        {tickHeader + "\n,1,1.1,1.2\n", `line 2: pair ""`},
		"reserved pair":  {tickHeader + "\n~end-1,1,1.1,1.2\n", `line 2: pair "~end-1"`},
		"time is no int": {tickHeader + "\nEUR/USD,1.5,1.1,1.2\n", "line 2: time_ms"},
		"before 1970":    {tickHeader + "\nEUR/USD,-1,1.1,1.2\n", "line 2: time_ms -1: is before 1970"},
		"in the future": {tickHeader + "\nEUR/USD,99999999999999,1.1,1.2\n",
			"line 2: time_ms 99999999999999: is before 1970 or in the future"},
		"bid is no price": {tickHeader + "\nEUR/USD,1,x,1.2\n", "line 2: bid"},
		"ask is no price": {tickHeader + "\nEUR/USD,1,1,NaN\n", "line 2: ask"},
		"far back": {tickHeader + "\nEUR/USD,9000,1,1\nEUR/USD,6000,1,1\nEUR/USD,5999,1,1\n",
			"line 4: time_ms 5999: goes back by 3.001s"},
	} {
		t.Run(name, func(t *testing.T) {
			file := gzipped(t, "bad-ticks.csv.gz", c.text)
			_, err := collect(tickFiles([]string{file}))
			require.ErrorContains(t, err, file+": "+c.want)
		})
	}
	whole, err := os.ReadFile("testdata/eurusd-20140502-12h-ticks.csv.gz")
	require.NoError(t, err)
	cut := written(t, "cut-ticks.csv.gz", whole[:len(whole)/2])
	ticks, err := collect(tickFiles([]string{cut}))
	require.NotEmpty(t, ticks)
	require.ErrorContains(t, err, cut+": line")
	plain := written(t, "plain.csv", []byte(tickHeader))
	_, err = collect(tickFiles([]string{plain}))
	require.ErrorContains(t, err, plain+": not a gzip file")
}

func TestMarketRepeatsItself(t *testing.T) {
	from := time.Date(2014, 5, 1, 0, 0, 0, 0, time.UTC)
	one, err := collect(market(7, from, 10*time.Minute))
	require.NoError(t, err)
	again, err := collect(market(7, from, 10*time.Minute))
	require.NoError(t, err)
	other, err := collect(market(8, from, 10*time.Minute))
	require.NoError(t, err)
	require.Equal(t, one, again)
	require.NotEqual(t, one, other)
	require.Greater(t, len(one), 3000)
	require.True(t, slices.IsSortedFunc(one, func(a, b Tick) int { return a.At.Compare(b.At) }))
	for _, tick := range one {
		require.Less(t, tick.Bid, tick.Ask)
	}
}
