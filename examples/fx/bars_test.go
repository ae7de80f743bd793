package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var noon = time.Date(2014, 5, 1, 12, 0, 0, 0, time.UTC)

func TestCSV(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	all := []barsOf{
		{time.Minute, []Bar{{"EUR/USD", noon, 1.38676, 1.38686, 1.3, 1.38686, 1.4, 1.5, 1.4, 1.5, 7},
			{"USD/JPY", noon, 102.5, 103, 102, 103, 104, 104, 104, 104, 2}}},
		{time.Hour, nil},
	}
	require.NoError(t, writeCSV(dir, all, map[string]int{"EUR/USD": 5, "USD/JPY": 3}))
	b, err := os.ReadFile(filepath.Join(dir, "bars_1min.csv"))
	require.NoError(t, err)
	require.Equal(t, "pair,start_ms,bid_open,bid_high,bid_low,bid_close,ask_open,ask_high,ask_low,ask_close,ticks\n"+
		"EUR/USD,1398945600000,1.38676,1.38686,1.30000,1.38686,1.40000,1.50000,1.40000,1.50000,7\n"+
		"USD/JPY,1398945600000,102.500,103.000,102.000,103.000,104.000,104.000,104.000,104.000,2\n", string(b))
	b, err = os.ReadFile(filepath.Join(dir, "bars_60min.csv"))
	require.NoError(t, err)
	require.Equal(t, barHeader+"\n", string(b))
	left, err := filepath.Glob(filepath.Join(dir, "*.part"))
	require.NoError(t, err)
	require.Empty(t, left)

	file := written(t, "file", nil)
	require.ErrorContains(t, writeCSV(file, all, nil), file)
}

func TestChart(t *testing.T) {
	bars := []Bar{
		{Pair: "A", Start: noon, BidOpen: 1, BidHigh: 13, BidLow: 1, BidClose: 7},
		{Pair: "A", Start: noon.Add(time.Minute), BidOpen: 9, BidHigh: 10, BidLow: 4, BidClose: 6},
		{Pair: "B", Start: noon, BidOpen: 90, BidHigh: 90, BidLow: 90, BidClose: 90},
	}
	var b bytes.Buffer
	printChart(&b, barsOf{time.Minute, bars}, "A", 1)
	require.Equal(t, `A, bid, bars of 1min from 2014-05-01 12:00 to 12:02
      13.0 ┤│
           ┤│
           ┤│
      10.0 ┤││
           ┤│░
           ┤│░
       7.0 ┤█░
           ┤█░
           ┤█│
       4.0 ┤█│
           ┤█
           ┤█
       1.0 ┤█
`, b.String())
	b.Reset()
	printChart(&b, barsOf{time.Minute, bars}, "B", 1)
	require.Contains(t, b.String(), "90.0 ┤█\n", "a price that does not move")
}

func TestMarkersReachEveryPartition(t *testing.T) {
	for _, n := range []int32{1, 2, 7, 64} {
		e := end{markers: endMarkers(n)}
		require.Len(t, e.markers, int(n))
		ticks, err := collect(source{ticks: withMarkers(func(yield func(Tick, error) bool) {
			_ = yield(Tick{Pair: "A", At: noon.Add(59 * time.Minute)}, nil) &&
				yield(Tick{Pair: "B", At: noon.Add(58 * time.Minute)}, nil)
		}, &e)})
		require.NoError(t, err)
		require.Len(t, ticks, 2+2*int(n))
		require.Equal(t, noon.Add(2*time.Hour), e.at, "an hour after the last window's end, at the start of a window")
		require.Equal(t, e.at.Add(2*time.Hour), ticks[len(ticks)-1].At)
	}
}
