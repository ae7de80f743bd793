package engine

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"
)

// A bound is what the value of a field of Config may be. The zero of a field is its default and
// always allowed. The keys of package engine/config have the same bounds in tags, and its errors
// the same words; a test there keeps them equal.
type bound[N ~int | ~int64] struct {
	name        string
	value       N
	least, most N // both inclusive; most 0: there is none
	none        bool
	text        func(N) string
	small, big  string // too short, too small
}

func (b bound[N]) check() error {
	switch {
	case b.value == 0, b.none && b.value == N(NoBound):
		return nil
	case b.value < b.least:
		or := ""
		if b.none {
			or = ", or NoBound"
		}
		return fmt.Errorf("%s: %s is %s: give %s or more%s", b.name, b.text(b.value), b.small, b.text(b.least), or)
	case b.most != 0 && b.value > b.most:
		return fmt.Errorf("%s: %s is %s: give %s at most", b.name, b.text(b.value), b.big, b.text(b.most))
	}
	return nil
}

// durationBound is the bound of a duration.
func durationBound(name string, value, least, most time.Duration) bound[time.Duration] {
	return bound[time.Duration]{name: name, value: value, least: least, most: most, text: durationText,
		small: "too short", big: "too long"}
}

// orNone lets NoBound through.
func (b bound[N]) orNone() bound[N] {
	b.none = true
	return b
}

// sizeBound is the bound of a number of bytes.
func sizeBound(name string, value, least int) bound[int] {
	return bound[int]{name: name, value: value, least: least, text: sizeText, small: "too small", big: "too large"}
}

// numberBound is the bound of a count.
func numberBound(name string, value, least, most int64) bound[int64] {
	text := func(n int64) string { return fmt.Sprint(n) }
	return bound[int64]{name: name, value: value, least: least, most: most, text: text, small: "too small",
		big: "too large"}
}

// durationText is d without the zeros at the end: 30m, not 30m0s.
func durationText(d time.Duration) string {
	switch {
	case d != 0 && d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d != 0 && d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}

// sizeText is a number of bytes in the largest unit of which it is a multiple.
func sizeText(n int) string {
	for _, u := range []struct {
		bytes int
		unit  string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n != 0 && n%u.bytes == 0 {
			return fmt.Sprintf("%d%s", n/u.bytes, u.unit)
		}
	}
	return fmt.Sprint(n)
}

// validateBounds returns a problem for each field that is out of its bounds.
func (c *Config) validateBounds() error {
	const tick = 100 * time.Millisecond
	var errs []error
	for _, b := range []bound[time.Duration]{
		durationBound("CommitInterval", c.CommitInterval, time.Millisecond, 30*time.Second),
		durationBound("CheckpointInterval", c.CheckpointInterval, 10*time.Millisecond, 0),
		durationBound("MaxAhead", c.MaxAhead, time.Millisecond, 0).orNone(),
		durationBound("StartTimeout", c.StartTimeout, tick, 0),
		durationBound("ReadyTimeout", c.ReadyTimeout, tick, 0).orNone(),
		durationBound("SlowAfter", c.SlowAfter, tick, 0),
		durationBound("StuckAfter", c.StuckAfter, tick, 0).orNone(),
		durationBound("SessionTimeout", c.SessionTimeout, tick, 30*time.Minute),
	} {
		errs = append(errs, b.check())
	}
	for _, b := range []bound[int]{
		sizeBound("CommitBytes", c.CommitBytes, 64<<10),
		sizeBound("CheckpointBytes", c.CheckpointBytes, 64<<10),
		sizeBound("Memory", c.Memory, 16<<20),
	} {
		errs = append(errs, b.check())
	}
	for _, b := range []bound[int64]{
		numberBound("MaxLag", c.MaxLag, 1, 0),
		numberBound("Standbys", int64(c.Standbys), 0, math.MaxInt16),
		replicationBound("Replication", c.Replication),
	} {
		errs = append(errs, b.check())
	}
	if stuck := cmp.Or(c.StuckAfter, defaultStuckAfter); stuck > 0 && c.SlowAfter > stuck {
		errs = append(errs, fmt.Errorf("SlowAfter: %v is too long: give StuckAfter, %v, at most", c.SlowAfter, stuck))
	}
	return errors.Join(errs...)
}

// replicationBound is the bound of a number of copies.
func replicationBound(name string, n int16) bound[int64] {
	return numberBound(name, int64(n), 1, math.MaxInt16)
}
