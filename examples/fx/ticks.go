package main

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"container/heap"
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ashi-stream/ashi/windows"
)

const (
	tickHeader = "pair,time_ms,bid,ask"
	// maxAhead keeps event times, and those of the end markers after them, within what the engine
	// takes: see engine.Config.MaxAhead.
	maxAhead = 12 * time.Hour
)

// source is ticks in the order in which they are to be processed, always the same order for the
// same source.
type source struct {
	ticks  iter.Seq2[Tick, error] // ends after an error
	digits map[string]int         // of a pair's prices behind the point, complete once ticks has ended
}

// tickFiles are the ticks of files, merged by time, whatever the order of the names. A file must be
// in order of time itself.
func tickFiles(names []string) source {
	names = slices.Sorted(slices.Values(names))
	s := source{digits: map[string]int{}}
	s.ticks = func(yield func(Tick, error) bool) {
		var files merge
		defer func() { files.stop() }()
		for _, name := range names {
			f := &tickFile{name: name, digits: s.digits}
			f.next, f.close = iter.Pull2(f.all)
			files = append(files, f)
			if err := f.advance(); err != nil {
				yield(Tick{}, err)
				return
			}
		}
		files = slices.DeleteFunc(files, func(f *tickFile) bool { return f.ended })
		heap.Init(&files)
		for len(files) > 0 {
			f := files[0]
			if !yield(f.head, nil) {
				return
			}
			if err := f.advance(); err != nil {
				yield(Tick{}, err)
				return
			}
			if f.ended {
				heap.Pop(&files)
			} else {
				heap.Fix(&files, 0)
			}
		}
	}
	return s
}

// tickFile is a file that is being read.
type tickFile struct {
	name   string
	digits map[string]int
	head   Tick
	ended  bool
	newest time.Time
	next   func() (Tick, error, bool)
	close  func()
}

// advance moves head to the next tick.
func (f *tickFile) advance() error {
	t, err, ok := f.next()
	f.head, f.ended = t, !ok
	return err
}

// all yields the ticks of the file, or one error.
func (f *tickFile) all(yield func(Tick, error) bool) {
	fail := func(line int, err error) { yield(Tick{}, fmt.Errorf("ticks: %s: line %d: %w", f.name, line, err)) }
	file, err := os.Open(f.name)
	if err != nil {
		yield(Tick{}, fmt.Errorf("ticks: %w", err))
		return
	}
	defer file.Close()
	text, err := gzip.NewReader(file)
	if err != nil {
		yield(Tick{}, fmt.Errorf("ticks: %s: not a gzip file: %w", f.name, err))
		return
	}
	lines := bufio.NewScanner(text)
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSuffix(lines.Text(), "\r")
		if n == 1 {
			if line != tickHeader {
				fail(n, fmt.Errorf("%q is not the header %q", line, tickHeader))
				return
			}
			continue
		}
		t, err := f.parse(line)
		if err != nil {
			fail(n, err)
			return
		}
		if !yield(t, nil) {
			return
		}
	}
	if err := lines.Err(); err != nil {
		fail(n+1, err)
	} else if n == 0 {
		fail(1, errors.New("the header is missing"))
	}
}

// parse reads one line. Ticks may be a little out of order, as on any market, but not so far that
// the engine would call them late.
func (f *tickFile) parse(line string) (t Tick, err error) {
	c := strings.Split(line, ",")
	if len(c) != 4 {
		return t, fmt.Errorf("%q has %d fields: want %s", line, len(c), tickHeader)
	}
	if c[0] == "" || strings.HasPrefix(c[0], endPrefix) {
		return t, fmt.Errorf("pair %q: is empty or begins with %s, which marks the end", c[0], endPrefix)
	}
	ms, err := strconv.ParseInt(c[1], 10, 64)
	if err != nil {
		return t, fmt.Errorf("time_ms: %w", err)
	}
	if ms < 0 || ms > time.Now().Add(maxAhead).UnixMilli() {
		return t, fmt.Errorf("time_ms %d: is before 1970 or in the future", ms)
	}
	t = Tick{Pair: strings.Clone(c[0]), At: time.UnixMilli(ms).UTC()}
	if f.newest.Sub(t.At) > windows.DefaultGrace {
		return t,
			fmt.Errorf(
				"time_ms %d: goes back by %v, more than the %v that windows wait for ticks that are out of order", ms,
				f.newest.Sub(t.At), windows.DefaultGrace)
	}
	if t.At.After(f.newest) {
		f.newest = t.At
	}
	for i, price := range []*float64{&t.Bid, &t.Ask} {
		if *price, err = f.price(t.Pair, c[2+i]); err != nil {
			return t, fmt.Errorf("%s: %w", strings.Split(tickHeader, ",")[2+i], err)
		}
	}
	return t, nil
}

// price reads a price, and notes how many digits it has.
func (f *tickFile) price(pair, text string) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err == nil && (math.IsNaN(v) || math.IsInf(v, 0)) {
		err = fmt.Errorf("%q is no price", text)
	}
	if _, fraction, _ := strings.Cut(text, "."); len(fraction) > f.digits[pair] {
		f.digits[pair] = len(fraction)
	}
	return v, err
}

// merge is a heap of files: the one whose next tick is the oldest is first; pair and name decide
// where times are equal.
type merge []*tickFile

func (m merge) Len() int      { return len(m) }
func (m merge) Swap(i, j int) { m[i], m[j] = m[j], m[i] }

func (m merge) Less(i, j int) bool {
	a, b := m[i], m[j]
	return cmp.Or(a.head.At.Compare(b.head.At), cmp.Compare(a.head.Pair, b.head.Pair), cmp.Compare(a.name, b.name)) < 0
}

// Push is for heap.Interface; files are only ever taken out.
func (m *merge) Push(f any) { *m = append(*m, f.(*tickFile)) }

// Pop is for heap.Interface.
func (m *merge) Pop() any {
	last := len(*m) - 1
	f := (*m)[last]
	*m = (*m)[:last]
	f.close()
	return f
}

// stop closes the files that have not been read to the end.
func (m merge) stop() {
	for _, f := range m {
		f.close()
	}
}
