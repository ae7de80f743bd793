package main

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ashi-stream/ashi/engine/internal/tables"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/rocksdb"
	"github.com/ashi-stream/ashi/topology"
)

// group is what is counted of the rows of an operator, or of a table.
type group struct {
	rows, bytes  int
	timed        int   // rows of windows; the rows of sessions are timed only where they say when which group closes
	oldest, last int64 // starts of windows
}

func (g *group) add(e stores.Entry, start int64, windowed bool) {
	g.rows++
	g.bytes += len(e.Key) + len(e.Value)
	if !windowed {
		return
	}
	if g.timed++; g.timed == 1 {
		g.oldest, g.last = start, start
	}
	g.oldest, g.last = min(g.oldest, start), max(g.last, start)
}

func (g *group) String() string {
	text := fmt.Sprintf("%d rows, %d bytes", g.rows, g.bytes)
	switch g.timed {
	case 0:
		return text
	case g.rows:
		return text + fmt.Sprintf(", windows from %s to %s", at(g.oldest), at(g.last))
	}
	return text + fmt.Sprintf(", %d of them of times from %s to %s", g.timed, at(g.oldest), at(g.last))
}

// describe reads a whole store and says what is in it.
func describe(out io.Writer, path string, s *rocksdb.Store) error {
	table, other := &group{}, &group{}
	operators := map[uint16]*group{}
	var named []string
	progress := &task.Progress{}
	for e, err := range s.Scan(nil, nil) {
		if err != nil {
			return err
		}
		if op, start, _, err := stores.ParseRowKey(e.Key); err == nil {
			if operators[op] == nil {
				operators[op] = &group{}
			}
			operators[op].add(e, start, start > 0)
		} else if _, start, windowed, ok := tableKey(e.Key); ok {
			table.add(e, start, windowed)
		} else if name, ok := strings.CutPrefix(string(e.Key), string(stores.MetaKey(""))); ok {
			if p, err := task.ParseProgress(e.Value); err == nil && string(e.Key) == string(task.ProgressKey) {
				progress = p
			}
			named = append(named, namedValue(name, e.Value)...)
		} else {
			other.add(e, 0, false)
		}
	}
	disk, err := diskBytes(path)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "  %d bytes on disk\n", disk)
	if table.rows > 0 {
		fmt.Fprintf(out, "  table: %s\n", table)
	}
	for _, op := range slices.Sorted(maps.Keys(operators)) {
		fmt.Fprintf(out, "  %s: %s\n", operatorName(progress, op), operators[op])
	}
	if other.rows > 0 {
		fmt.Fprintf(out, "  of unknown kind: %s\n", other)
	}
	for _, line := range named {
		fmt.Fprintf(out, "  %s\n", line)
	}
	return nil
}

// namedValue says what a named value means.
func namedValue(name string, value []byte) []string {
	number := int64(0)
	if len(value) == 8 {
		number = int64(binary.BigEndian.Uint64(value))
	}
	partition, of := strings.CutPrefix(name, "position/")
	switch {
	case "\x00"+name == string(task.ProgressKey):
		return commitRecord(value)
	case of:
		if next, topic, ok := tables.ParsePosition(value); ok {
			return []string{fmt.Sprintf("position of partition %s: %d, of %s", partition, next, topic)}
		}
	case name == "position":
		if p, err := task.ParsePosition(value); err == nil {
			return []string{fmt.Sprintf("position in the changelog: %d, of %s", p.Offset, at(p.Since.UnixMilli())),
				"state of " + p.Log.String()}
		}
	case len(value) == 8 && name == "newest":
		return []string{"newest time: " + at(number)}
	}
	return []string{fmt.Sprintf("%s: %s", quote([]byte(name)), bytesText(value))}
}

// operatorName is whose rows have a number.
func operatorName(p *task.Progress, number uint16) string {
	among := func(n topology.Numbers) bool { return n.First <= number && int(number) < int(n.First)+int(n.Count) }
	for _, o := range p.Operators {
		if among(o.Numbers) {
			return fmt.Sprintf("operator %d, %s", number, o)
		}
	}
	if slices.ContainsFunc(p.Removing, among) {
		return fmt.Sprintf("operator %d, which is gone", number)
	}
	return fmt.Sprintf("operator %d", number)
}

func commitRecord(value []byte) []string {
	p, err := task.ParseProgress(value)
	if err != nil {
		return []string{fmt.Sprintf("commit record: %v", err)}
	}
	lines := []string{fmt.Sprintf("commit %d: %d rows aggregated", p.Sequence, p.Rows)}
	for _, o := range p.Operators {
		lines = append(lines, fmt.Sprintf("step %s: %s, layout %d", o, o.Described(), o.Layout))
	}
	for _, topic := range slices.Sorted(maps.Keys(p.Inputs)) {
		lines = append(lines, fmt.Sprintf("position in %s: %d, topic id %s", topic, p.Inputs[topic], p.Topics[topic]))
	}
	for _, name := range slices.Sorted(maps.Keys(p.StreamTimes)) {
		lines = append(lines, fmt.Sprintf("stream time of %s: %s", name, at(int64(p.StreamTimes[name]))))
	}
	return lines
}

// printRows prints rows of a table, or of operators, whose keys begin with prefix.
func printRows(out io.Writer, s *rocksdb.Store, prefix []byte, limit int) error {
	n := 0
	for e, err := range s.Scan(nil, nil) {
		if err != nil {
			return err
		}
		op, start, key, err := stores.ParseRowKey(e.Key)
		where, windowed := fmt.Sprintf("operator %d ", op), start > 0
		if err != nil {
			var ok bool
			if key, start, windowed, ok = tableKey(e.Key); !ok {
				continue
			}
			where = ""
		}
		if !strings.HasPrefix(string(key), string(prefix)) {
			continue
		}
		if n++; limit > 0 && n > limit {
			fmt.Fprintf(out, "... more than %d rows: see -n\n", limit)
			return nil
		}
		if where += quote(key); windowed {
			where += " " + at(start)
		}
		fmt.Fprintf(out, "%s %s\n", where, bytesText(e.Value))
	}
	return nil
}

// tableKey takes the key of a table's row apart, whatever kind of table it is.
func tableKey(key []byte) (row []byte, start int64, windowed, ok bool) {
	if row, err := stores.ParseTableKey(nil, key); err == nil {
		return row, 0, false, true
	}
	row, start, err := stores.ParseTableWindowKey(nil, key)
	return row, start, true, err == nil
}

func diskBytes(path string) (sum int64, err error) {
	files, err := filepath.Glob(filepath.Join(path, "*.sst"))
	for _, name := range files {
		if info, err := os.Stat(name); err == nil { // the owner may have deleted it meanwhile
			sum += info.Size()
		}
	}
	return sum, err
}

func at(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

// parseKey reads what quote and people write.
func parseKey(text string) ([]byte, error) {
	if digits, ok := strings.CutPrefix(text, "0x"); ok {
		key, err := hex.DecodeString(digits)
		if err != nil {
			return nil, fmt.Errorf("prefix %q: %w", text, err)
		}
		return key, nil
	}
	return []byte(text), nil
}

func quote(b []byte) string {
	if isText(b) {
		return strconv.Quote(string(b))
	}
	return "0x" + hex.EncodeToString(b)
}

func bytesText(b []byte) string {
	if isText(b) && json.Valid(b) {
		return string(b)
	}
	return "0x" + hex.EncodeToString(b)
}

func isText(b []byte) bool {
	return utf8.Valid(b) && !strings.ContainsFunc(string(b), func(r rune) bool { return !unicode.IsPrint(r) })
}
