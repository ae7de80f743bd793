package storetest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/ashi-stream/ashi/stores"
)

// victimVariable names the directory that a child process writes to until it is killed.
const victimVariable = "STORETEST_VICTIM_DIR"

const (
	numberKey  = "number" // holds n after Write n
	keptWrites = 8        // each Write removes the rows of the eighth before it
	rowsEach   = 20       // rows of one Write
	victimEnd  = 100_000  // Writes after which a victim that nobody kills stops
)

// numberedWrite is Write n of a sequence in which the state after each Write tells n.
func numberedWrite(n uint64) *stores.Batch {
	b := &stores.Batch{}
	if n > keptWrites {
		b.DeleteRange(numberedRow(n-keptWrites, 0), numberedRow(n-keptWrites+1, 0))
	}
	for i := range uint64(rowsEach) {
		b.Put(numberedRow(n, i), numberedValue(n, i))
	}
	b.Delete(numberedRow(n, rowsEach/2))
	b.Put([]byte(numberKey), binary.BigEndian.AppendUint64(nil, n))
	return b
}

// numberedLoad does what numberedWrite does.
func numberedLoad(n uint64) *stores.Run {
	r := &stores.Run{}
	for op := range numberedWrite(n).Ops() {
		switch op.Kind {
		case stores.OpPut:
			r.Put(op.Key, op.Value)
		case stores.OpDelete:
			r.Delete(op.Key)
		case stores.OpDeleteRange:
			for i := range uint64(rowsEach) {
				r.Delete(numberedRow(n-keptWrites, i))
			}
		}
	}
	return r
}

func numberedRow(n, i uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64([]byte("row"), n), i)
}

func numberedValue(n, i uint64) []byte {
	return fmt.Appendf(nil, "%d of write %d %s", i, n, strings.Repeat("x", int(n*7+i*13)%200))
}

// numberedState is what Writes 1 to n leave.
func numberedState(n uint64) model {
	m := model{}
	for k := max(n, keptWrites) - keptWrites + 1; k <= n; k++ {
		m.apply(numberedWrite(k))
	}
	return m
}

// checkNumbered returns n if the store holds exactly what Writes 1 to n leave.
func checkNumbered(s stores.Store) (n uint64, err error) {
	value, ok, err := s.Get(nil, []byte(numberKey))
	if err != nil {
		return 0, err
	}
	if ok {
		if len(value) != 8 {
			return 0, fmt.Errorf("the number is %s", brief(value))
		}
		n = binary.BigEndian.Uint64(value)
	}
	got, err := collect(s, nil, nil)
	if err != nil {
		return 0, err
	}
	if err := sameEntries(got, numberedState(n).scan(nil, nil)); err != nil {
		return 0, fmt.Errorf("the number says %d Writes, the rows say otherwise: %w", n, err)
	}
	return n, nil
}

// checkKilled kills a process in the middle of its Writes and looks at what it left, several times
// over one directory.
func checkKilled(t *testing.T, open func(dir string) (stores.Store, error)) {
	const rounds = 4
	dir := t.TempDir()
	for round := range rounds {
		written, flushed := killVictim(t, dir, 50+rand.IntN(1500))
		s, err := open(dir)
		if err != nil {
			t.Fatalf("open after kill %d: %v", round+1, err)
		}
		n, err := checkNumbered(s)
		if err != nil {
			t.Fatalf(
				"broken rule: after a crash the store holds the first n Writes and no part of another, kill "+
					"%d\nseen: %v", round+1, err)
		}
		// The victim may be one Write further than its last line.
		if n < flushed || n > written+1 {
			t.Fatalf(
				"broken rule: after a crash a store holds at least what was flushed\nkill %d: Write %d was flushed, "+
					"%d written, the store holds %d", round+1, flushed, written, n)
		}
		t.Logf("kill %d: %d written, %d flushed, %d found", round+1, written, flushed, n)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killVictim runs a victim for some lines of its output, kills it, and returns the last numbers
// that it printed.
func killVictim(t *testing.T, dir string, lines int) (written, flushed uint64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+onlyThis(strings.TrimSuffix(t.Name(), "/killed")))
	cmd.Env = append(os.Environ(), victimVariable+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	seen := 0
	for scanner := bufio.NewScanner(out); scanner.Scan(); { // to the end: what is in the pipe was done before the kill
		var n uint64
		if _, err := fmt.Sscanf(scanner.Text(), "written %d", &n); err == nil {
			written = n
		} else if _, err := fmt.Sscanf(scanner.Text(), "flushed %d", &n); err == nil {
			flushed = n
		} else {
			continue
		}
		if seen++; seen >= lines && !killed {
			killed = true
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	err = cmd.Wait()
	if !killed {
		t.Fatalf("the process to kill ended by itself after %d lines: %v", seen, err)
	}
	return written, flushed
}

// onlyThis is the -test.run pattern of one test or subtest.
func onlyThis(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}

// writeUntilKilled is the victim. It goes on where the store in dir ends, and flushes now and then.
// It never returns: the rest of the test program is not its business.
func writeUntilKilled(dir string, open func(dir string) (stores.Store, error)) {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, "process to kill:", err)
		os.Exit(1)
	}
	s, err := open(dir)
	if err != nil {
		fail(err)
	}
	n, err := checkNumbered(s)
	if err != nil {
		fail(err)
	}
	for last := n + victimEnd; n < last; {
		n++
		l, loads := s.(stores.Loader)
		if loads = loads && n%13 == 0; loads {
			err = l.Load(numberedLoad(n))
		} else {
			err = s.Write(numberedWrite(n))
		}
		if err != nil {
			fail(err)
		}
		fmt.Printf("written %d\n", n)
		if loads {
			fmt.Printf("flushed %d\n", n)
		}
		if n%97 == 0 {
			if err := s.Flush(); err != nil {
				fail(err)
			}
			fmt.Printf("flushed %d\n", n)
		}
	}
	os.Exit(0)
}
