package ashi_test

import (
	"fmt"
	"go/scanner"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// Widest lines, in columns; a tab is four of them.
const (
	widestComment = 100
	widestCode    = 120
	longText      = 60 // a literal or a word of so many columns may make its line wider
)

var (
	commentLine = regexp.MustCompile(`^\s*//`)
	// Tables, lists and code within comments, which gofmt leaves as they are.
	preformatted = regexp.MustCompile(`^\s*//(\t|  |go:| \|)`)
)

// Comments have 100 columns and code has 120, but for what cannot be broken.
func TestLinesAreNotTooWide(t *testing.T) {
	for _, f := range load(t) {
		if f.generated {
			continue
		}
		text, err := os.ReadFile(f.path)
		require.NoError(t, err)
		for _, complaint := range tooWide(text) {
			t.Errorf("%s:%s", f.path, complaint)
		}
	}
	wide := strings.Repeat("a b ", 31)
	require.Len(t, tooWide([]byte("package a\n\n// "+wide+"\n")), 1)
	require.Empty(t, tooWide([]byte("package a\n\n//\t"+wide+"\n")), "a table")
	require.Len(t, tooWide([]byte("package a\n\nvar x = "+strings.Repeat("1 + ", 30)+"1\n")), 1)
	require.Empty(t, tooWide([]byte("package a\n\nvar x = \""+wide+"\"\n")), "a literal")
	require.Empty(t, tooWide([]byte("package a\n\nvar x = `\n"+wide+"\n`\n")), "a literal of many lines")
}

// tooWide is a complaint for each line of Go code that is too wide.
func tooWide(text []byte) (complaints []string) {
	excused := unbreakable(text)
	output := false // within the expected output of an example
	for i, line := range strings.Split(string(text), "\n") {
		most := widestCode
		comment := commentLine.MatchString(line)
		if comment {
			most = widestComment
		}
		output = comment && (output || strings.Contains(line, "// Output:") ||
			strings.Contains(line, "// Unordered output:"))
		if n := columns(line); n > most && !output && !excused[i+1] && !preformatted.MatchString(line) {
			complaints = append(complaints, fmt.Sprintf("%d: %d columns, and not %d at most", i+1, n, most))
		}
	}
	return complaints
}

func columns(line string) int { return utf8.RuneCountInString(line) + 3*strings.Count(line, "\t") }

// unbreakable is the lines with a literal that is long or has many lines, with a comment of many
// lines (C of cgo), or with a long word in a comment.
func unbreakable(text []byte) map[int]bool {
	excused := map[int]bool{}
	set := token.NewFileSet()
	file := set.AddFile("", -1, len(text))
	var s scanner.Scanner
	s.Init(file, text, nil, scanner.ScanComments)
	for {
		at, kind, literal := s.Scan()
		if kind == token.EOF {
			return excused
		}
		line, more := file.Line(at), strings.Count(literal, "\n")
		switch kind {
		case token.STRING:
			for i := 0; i <= more && (more > 0 || columns(literal) > longText); i++ {
				excused[line+i] = true
			}
		case token.COMMENT:
			for i := 0; i <= more && more > 0; i++ {
				excused[line+i] = true
			}
			for _, word := range strings.Fields(literal) {
				excused[line] = excused[line] || columns(word) > longText
			}
		}
	}
}
