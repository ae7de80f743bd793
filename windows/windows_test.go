package windows

import (
	"bufio"
	"bytes"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The table of doc.go, row by row.
func TestWorkedTable(t *testing.T) {
	f, err := os.Open("doc.go")
	require.NoError(t, err)
	defer f.Close()
	w, err := Tumbling(time.Minute).Size(time.Minute)
	require.NoError(t, err)
	grace := Tumbling(time.Minute).GraceTime()
	clock := func(s string) Time {
		d, err := time.Parse("15:04:05", s)
		require.NoError(t, err)
		return Time(d.Hour()*3600+d.Minute()*60+d.Second()) * 1000
	}
	now, rows := Min, 0
	for sc := bufio.NewScanner(f); sc.Scan(); {
		c := strings.Fields(strings.TrimPrefix(sc.Text(), "//"))
		if len(c) < 4 || !strings.HasPrefix(c[0], "10:0") {
			continue
		}
		rows++
		at := clock(c[0])
		now = max(now, at)
		require.Equal(t, clock(c[1]), now, "stream time: %s", sc.Text())
		start := w.Start(at)
		require.Equal(t, strings.Trim(c[2], "[,"), start.Std().Format("15:04"), sc.Text())
		require.Equal(t, strings.Trim(c[3], ")"), w.End(start).Std().Format("15:04"), sc.Text())
		require.Equal(t, strings.Contains(sc.Text(), "late"), Closed(w.End(start), grace, now), sc.Text())
		if strings.Contains(sc.Text(), "is closed") {
			require.Equal(t, now, w.Closes(w.Start(at-60_000), grace), sc.Text())
		}
	}
	require.Equal(t, 6, rows, "rows of the table found in doc.go")
}

func TestBounds(t *testing.T) {
	w := Kind{form: FormTumbling, size: 60_000, advance: 60_000}
	for _, c := range []struct{ at, start, end Time }{
		{0, 0, 60_000},
		{59_999, 0, 60_000},
		{60_000, 60_000, 120_000},
		{253402300799999, 253402300740000, 253402300800000}, // the last minute of the year 9999
		{math.MaxInt64, math.MaxInt64 - math.MaxInt64%60_000, math.MaxInt64},
	} {
		require.Equal(t, c.start, w.Start(c.at), "start of %d", c.at)
		require.Equal(t, c.end, w.End(c.start), "end of %d", c.at)
	}
	require.False(t, Closed(60_000, 3000, 62_999))
	require.True(t, Closed(60_000, 3000, 63_000), "closed exactly at end + grace [W5]")
	require.False(t, Closed(math.MaxInt64, 3000, math.MaxInt64-1))
	require.False(t, Closed(60_000, 0, Min))
}

func TestSpec(t *testing.T) {
	s := Minutes(15, 1, 5, 60, 5, 1).Grace(0)
	require.NoError(t, s.Validate())
	require.Equal(t, "tumbling 1min, tumbling 5min, tumbling 15min, tumbling 60min; grace 0s", s.String(),
		"ascending, repeated sizes once")
	_, err := s.Size(30 * time.Minute)
	require.EqualError(t, err, "windows: no windows of size 30m0s: there are 1min, 5min, 15min, 60min")
	five, err := s.Size(5 * time.Minute)
	require.NoError(t, err)
	require.Equal(t, 5*time.Minute, five.Size())

	require.Equal(t, []string{"90s", "250ms", "1440min"},
		[]string{Name(90 * time.Second), Name(250 * time.Millisecond), Name(24 * time.Hour)})

	require.ErrorContains(t, Spec{}.Validate(), "no size given")
	bad := Tumbling(0, -time.Second, 1500*time.Microsecond, time.Second).Grace(-1)
	err = bad.Validate()
	for _, want := range []string{"size 0s", "size -1s", "size 1.5ms", "grace -1ns"} {
		require.ErrorContains(t, err, want, "every mistake is listed")
	}
	require.NoError(t, Minutes(1).Validate(), "a copy's mistake stays with the copy")
}

func TestSliding(t *testing.T) {
	s := Sliding(time.Minute).And(Session(time.Second)).Grace(0)
	require.NoError(t, s.Validate())
	require.True(t, Sliding(time.Minute).Merges())
	require.Equal(t, "session gap 1s, sliding 1min; grace 0s", s.String())
	k, err := s.Pick(Sliding(60 * time.Second))
	require.NoError(t, err)
	require.Equal(t, FormSliding, k.Form())
	require.Equal(t, time.Minute, k.Size())
	require.EqualValues(t, 60_010, k.End(10), "in the window")
	require.EqualValues(t, 60_011, k.Closes(10, 0), "after the end, not at it [L2]")
	require.EqualValues(t, math.MaxInt64, k.End(math.MaxInt64-5))
	require.EqualValues(t, math.MaxInt64, k.Closes(math.MaxInt64-60_005, 4))
	require.EqualValues(t, math.MaxInt64, k.Closes(math.MaxInt64-60_005, 5))

	key := k.AppendKey([]byte("EUR"), Window{Start: 258, End: 60_258})
	require.Equal(t, "EUR\x00\x00\x00\x00\x00\x00\x01\x02", string(key))
	group, w, ok := k.CutKey(key)
	require.True(t, ok)
	require.Equal(t, "EUR", string(group))
	require.Equal(t, Window{Start: 258, End: 60_258}, w)

	require.ErrorContains(t, Sliding(0).Validate(), "time difference 0s")
	require.ErrorContains(t, Sliding(time.Microsecond).Validate(), "whole milliseconds")
}

func TestTimeText(t *testing.T) {
	require.Equal(t, "2014-05-01T00:00:00.292Z", Time(1398902400292).String())
	require.Equal(t, "none", Min.String())
	require.Equal(t, Time(1398902400292), At(Time(1398902400292).Std()))
}

func BenchmarkStart(b *testing.B) {
	w := Kind{form: FormTumbling, size: 60_000, advance: 60_000}
	b.ReportAllocs()
	var sum Time
	for i := range b.N {
		sum += w.Start(Time(1398902400000 + i))
	}
	if sum == 1 {
		b.Log(sum)
	}
}

// What CutKey takes apart AppendKey puts together again, and a window that it gives holds together:
// whatever the bytes of a topic are.
func FuzzCutKey(f *testing.F) {
	kinds := Tumbling(time.Minute).And(Hopping(time.Minute, 7*time.Second)).And(Session(time.Second)).And(Days(time.UTC,
		time.Hour)).
		And(Months(time.FixedZone("east", 3600), 0)).And(Unbounded()).Kinds()
	for _, k := range kinds {
		f.Add(k.AppendKey([]byte("key"), Window{Start: 1_700_000_000_000, End: 1_700_000_060_000}))
	}
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 16))
	f.Add([]byte("\x7f\xff\xff\xff\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, key []byte) {
		for _, k := range kinds {
			group, w, ok := k.CutKey(key)
			if !ok {
				continue
			}
			require.GreaterOrEqual(t, w.Start, Time(0))
			require.GreaterOrEqual(t, w.End, w.Start)
			require.Equal(t, key, k.AppendKey(bytes.Clone(group), w), "%v", k)
		}
	})
}
