package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/ashi-stream/ashi/windows"
)

const (
	liveEvery  = 100 * time.Millisecond // progress on a terminal
	plainEvery = 2 * time.Second        // progress elsewhere: a line each time
	shownSize  = 15 * time.Minute       // of the bars that are shown while they are made
	barEvery   = 400 * time.Millisecond // between two bars of a kind that are shown: there are thousands
)

// screen shows what happens. Its methods may be called by any number of goroutines.
type screen struct {
	w    io.Writer
	live bool // a terminal, where the progress line is drawn over and over

	mu     sync.Mutex // guards w and what follows
	ticks  int
	market time.Time
	finals map[time.Duration]int
	closed map[string]time.Time // the start of a pair's last final bar, of the size that is shown
	shown  map[string]time.Time // when a bar of a kind was shown last
	drawn  bool                 // the progress line is on the terminal
}

func newScreen(w io.Writer) *screen {
	f, ok := w.(*os.File)
	live := false
	if ok {
		info, err := f.Stat()
		live = err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
	}
	return &screen{w: w, live: live, finals: map[time.Duration]int{}, closed: map[string]time.Time{},
		shown: map[string]time.Time{}}
}

// say prints a line.
func (s *screen) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	fmt.Fprintf(s.w, format+"\n", args...)
}

// produced notes that more ticks are in the topic.
func (s *screen) produced(ticks []Tick) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range ticks {
		if !strings.HasPrefix(ticks[i].Pair, endPrefix) {
			s.ticks++
			s.market = ticks[i].At
		}
	}
}

// changed shows a provisional bar, unless the final one came first: they are on two topics.
func (s *screen) changed(size time.Duration, b Bar) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.Start.After(s.closed[b.Pair]) {
		s.bar("provisional", size, &b)
	}
}

// final counts a final bar, and shows it.
func (s *screen) final(size time.Duration, b Bar) {
	if strings.HasPrefix(b.Pair, endPrefix) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finals[size]++
	if size == shownSize {
		s.closed[b.Pair] = b.Start
		s.bar("final", size, &b)
	}
}

// bar shows a bar unless one of its kind was shown a moment ago.
func (s *screen) bar(kind string, size time.Duration, b *Bar) {
	if now := time.Now(); now.Sub(s.shown[kind]) >= barEvery && !strings.HasPrefix(b.Pair, endPrefix) {
		s.shown[kind] = now
		s.clear()
		fmt.Fprintf(s.w, "%-11s  %s %s %-5s  open %-9.6g high %-9.6g low %-9.6g close %-9.6g ticks %d\n",
			kind, b.Pair, b.Start.Format("2006-01-02 15:04"), windows.Name(size), b.BidOpen, b.BidHigh, b.BidLow,
			b.BidClose, b.Ticks)
	}
}

// run shows progress until ctx ends.
func (s *screen) run(ctx context.Context) {
	every := plainEvery
	if s.live {
		every = liveEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.mu.Lock()
			s.clear()
			s.mu.Unlock()
			return
		case <-tick.C:
			s.progress()
		}
	}
}

func (s *screen) progress() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	if s.market.IsZero() {
		return
	}
	fmt.Fprintf(s.w, "%d ticks, market time %s; final bars:", s.ticks, s.market.Format("2006-01-02 15:04:05"))
	for _, size := range sizes {
		fmt.Fprintf(s.w, " %s %d", windows.Name(size), s.finals[size])
	}
	if s.drawn = s.live; !s.live {
		fmt.Fprintln(s.w)
	}
}

// clear takes the progress line off the terminal.
func (s *screen) clear() {
	if s.drawn {
		fmt.Fprint(s.w, "\r\x1b[K")
		s.drawn = false
	}
}
