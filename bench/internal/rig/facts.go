package rig

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Lines writes JSON lines. Close it.
type Lines struct {
	out  io.Writer
	kept *os.File // nil: none
}

// Open writes lines to out and, if dir is not empty, appends them to dir/<name>-<date>.jsonl.
func Open(out io.Writer, dir, name string) (*Lines, error) {
	l := &Lines{out: out}
	if dir == "" {
		return l, nil
	}
	var err error
	l.kept, err = os.OpenFile(filepath.Join(dir, fmt.Sprintf("%s-%s.jsonl", name,
		time.Now().UTC().Format(time.DateOnly))), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	return l, nil
}

// Print adds the facts to a line and writes it.
func (l *Lines) Print(line map[string]any) error {
	line["at"] = time.Now().UTC().Format(time.RFC3339)
	line["machine"] = fmt.Sprintf("%s, %d cores, GOMAXPROCS %d, %s", fieldOf("/proc/cpuinfo", "model name"),
		runtime.NumCPU(), runtime.GOMAXPROCS(0), runtime.Version())
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		line["load1"], _, _ = strings.Cut(string(b), " ")
	}
	b, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("rig: %w", err)
	}
	return l.write(append(b, '\n'))
}

// Write takes lines of other programs as they are.
func (l *Lines) Write(b []byte) (int, error) { return len(b), l.write(b) }

func (l *Lines) write(b []byte) error {
	_, err := l.out.Write(b)
	if l.kept != nil {
		_, failed := l.kept.Write(b)
		err = errors.Join(err, failed)
	}
	return err
}

// Close closes the file.
func (l *Lines) Close() error {
	if l.kept == nil {
		return nil
	}
	return l.kept.Close()
}

// CPU is the CPU time of the process so far, all threads, in seconds.
func CPU() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(fmt.Sprintf("rig: getrusage: %v", err)) // it has no way to fail with these arguments
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// PeakMemory is the most resident memory that the process has had, in MB; 0 where the system does
// not tell.
func PeakMemory() int {
	var kb int
	if _, err := fmt.Sscanf(fieldOf("/proc/self/status", "VmHWM"), "%d kB", &kb); err != nil {
		return 0
	}
	return kb / 1024
}

// fieldOf is the text behind a name and a colon in a file of the kernel's.
func fieldOf(file, name string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
