package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/ashi-stream/ashi/windows"
)

const (
	chartCandles = 72 // at most: the newest
	chartRows    = 13
)

// printTable prints the last bar of each pair and size.
func printTable(w io.Writer, all []barsOf, digits map[string]int) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "last bar of\tsize\tstart\tbid open\thigh\tlow\tclose\task close\tticks")
	for i, b := range all[0].bars {
		if i+1 < len(all[0].bars) && all[0].bars[i+1].Pair == b.Pair {
			continue
		}
		for _, of := range all {
			last := lastOf(of.bars, b.Pair)
			d := digits[b.Pair]
			fmt.Fprintf(t, "%s\t%s\t%s\t%.*f\t%.*f\t%.*f\t%.*f\t%.*f\t%d\n", b.Pair, windows.Name(of.size),
				last.Start.Format("2006-01-02 15:04"), d, last.BidOpen, d, last.BidHigh, d, last.BidLow, d,
				last.BidClose, d, last.AskClose, last.Ticks)
		}
	}
	return t.Flush()
}

// lastOf is the last bar of a pair.
func lastOf(bars []Bar, pair string) (last Bar) {
	for _, b := range bars {
		if b.Pair == pair {
			last = b
		}
	}
	return last
}

// printChart draws the bid of one pair as candles: │ from low to high, █ from open to close where
// the price rose, ░ where it fell.
func printChart(w io.Writer, of barsOf, pair string, digits int) {
	var bars []Bar
	for _, b := range of.bars {
		if b.Pair == pair {
			bars = append(bars, b)
		}
	}
	if len(bars) == 0 {
		return
	}
	bars = bars[max(0, len(bars)-chartCandles):]
	low, high := bars[0].BidLow, bars[0].BidHigh
	for _, b := range bars {
		low, high = min(low, b.BidLow), max(high, b.BidHigh)
	}
	row := func(price float64) int { // from the bottom
		if high == low {
			return 0
		}
		return int((price - low) / (high - low) * (chartRows - 1))
	}
	fmt.Fprintf(w, "%s, bid, bars of %s from %s to %s\n", pair, windows.Name(of.size),
		bars[0].Start.Format("2006-01-02 15:04"), bars[len(bars)-1].Start.Add(of.size).Format("15:04"))
	for y := chartRows - 1; y >= 0; y-- {
		label := ""
		if y%3 == 0 {
			label = fmt.Sprintf("%.*f", digits, low+(high-low)*float64(y)/(chartRows-1))
		}
		var line strings.Builder
		for _, b := range bars {
			line.WriteRune(candle(row, &b, y))
		}
		fmt.Fprintf(w, "%10s ┤%s\n", label, strings.TrimRight(line.String(), " "))
	}
}

// candle is what a bar shows in row y.
func candle(row func(float64) int, b *Bar, y int) rune {
	body := [2]int{row(min(b.BidOpen, b.BidClose)), row(max(b.BidOpen, b.BidClose))}
	switch {
	case y < row(b.BidLow) || y > row(b.BidHigh):
		return ' '
	case y < body[0] || y > body[1]:
		return '│'
	case b.BidClose < b.BidOpen:
		return '░'
	default:
		return '█'
	}
}
