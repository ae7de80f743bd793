package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/windows"
)

const barHeader = "pair,start_ms,bid_open,bid_high,bid_low,bid_close,ask_open,ask_high,ask_low,ask_close,ticks"

// barsOf are bars of one size, by pair and then by time.
type barsOf struct {
	size time.Duration
	bars []Bar
}

// readBars waits until the table of every size holds all bars up to the end, and reads them.
func readBars(ctx context.Context, eng *engine.Engine, p *pipeline, e end) ([]barsOf, error) {
	var all []barsOf
	for _, size := range sizes {
		table, err := engine.Table(eng, p.finals.Size(size))
		if err != nil {
			return nil, err
		}
		if err := awaitEnd(ctx, table, e); err != nil {
			return nil, err
		}
		bars, err := table.ToList(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, barsOf{size, slices.DeleteFunc(bars,
			func(b Bar) bool { return strings.HasPrefix(b.Pair, endPrefix) })})
	}
	return all, nil
}

// awaitEnd returns when the markers' bars are in the table: a partition's bars come in order, so
// all others are there too.
func awaitEnd(ctx context.Context, table *engine.TableReader[string, Bar], e end) error {
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for _, pair := range e.markers {
		for {
			_, ok, err := table.GetAt(ctx, pair, e.at)
			if err != nil && !errors.Is(err, engine.ErrNotReady) {
				return err
			}
			if ok {
				break
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-poll.C:
			}
		}
	}
	return nil
}

// writeCSV writes bars_1min.csv and so on into dir. A file is there only once it is complete.
func writeCSV(dir string, all []barsOf, digits map[string]int) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("bars: %w", err)
	}
	for _, of := range all {
		name := filepath.Join(dir, "bars_"+windows.Name(of.size)+".csv")
		if err := writeFile(name, of.bars, digits); err != nil {
			return fmt.Errorf("bars: %w", err)
		}
	}
	return nil
}

func writeFile(name string, bars []Bar, digits map[string]int) error {
	f, err := os.Create(name + ".part")
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	line := append([]byte(barHeader), '\n')
	for i := -1; i < len(bars); i++ {
		if i >= 0 {
			line = appendBar(line[:0], &bars[i], digits[bars[i].Pair])
		}
		w.Write(line) // Flush returns the first error
	}
	if err := errors.Join(w.Flush(), f.Close()); err != nil {
		return err
	}
	return os.Rename(name+".part", name)
}

// appendBar is a bar's line, with as many digits as its ticks had.
func appendBar(line []byte, b *Bar, digits int) []byte {
	line = append(append(line, b.Pair...), ',')
	line = strconv.AppendInt(line, b.Start.UnixMilli(), 10)
	for _, v := range [...]float64{b.BidOpen, b.BidHigh, b.BidLow, b.BidClose, b.AskOpen, b.AskHigh, b.AskLow,
		b.AskClose} {
		line = strconv.AppendFloat(append(line, ','), v, 'f', digits, 64)
	}
	line = strconv.AppendInt(append(line, ','), b.Ticks, 10)
	return append(line, '\n')
}
