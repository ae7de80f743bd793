package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// ErrInvalid says that a configuration cannot be used: the error is a *Error.
var ErrInvalid = errors.New("config: invalid")

// Error is every problem of a configuration.
type Error struct{ Problems []Problem }

// Problem is one of them.
type Problem struct {
	// Place is FILE:LINE:COLUMN, or the variable of the environment.
	Place string
	// Key is the path of the key, such as core.commitInterval; empty where the file as a whole is
	// meant.
	Key string
	// Text is what is wrong, and what to do.
	Text string

	line, column int
	harmless     bool // a warning where validation is relaxed
}

// String is the problem in one line.
func (p Problem) String() string {
	if p.Key == "" {
		return p.Place + ": " + p.Text
	}
	return p.Place + ": " + p.Key + ": " + p.Text
}

// Error lists the problems, a line each.
func (e *Error) Error() string {
	lines := []string{fmt.Sprintf("config: %d problems:", len(e.Problems))}
	if len(e.Problems) == 1 {
		lines[0] = "config: 1 problem:"
	}
	for _, p := range e.Problems {
		lines = append(lines, "  "+p.String())
	}
	return strings.Join(lines, "\n")
}

// Unwrap is ErrInvalid.
func (e *Error) Unwrap() error { return ErrInvalid }

// inOrder sorts problems by their places, those of the environment last.
func inOrder(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		if a.line == 0 || b.line == 0 {
			return cmp.Or(cmp.Compare(b.line, a.line), cmp.Compare(a.Place, b.Place))
		}
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
}

// bare is a name without what people write differently: commit_interval, commit-interval and
// CommitInterval are one.
func bare(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", ".", "").Replace(name))
}

// nearest is the one of names that was probably meant; empty if none is near.
func nearest(name string, names []string) string {
	best, least := "", max(2, len(name)/3)+1
	for _, n := range names {
		d := levenshtein.ComputeDistance(bare(name), bare(n))
		if len(n) > 2 && strings.HasPrefix(bare(name), bare(n)) {
			d = min(d, 1) // warning for warn
		}
		if d < least {
			best, least = n, d
		}
	}
	return best
}

// oneOf is a list of names in a sentence.
func oneOf(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
