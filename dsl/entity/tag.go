package entity

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/agnivade/levenshtein"
)

// option is one part of a tag behind the name.
type option struct {
	name, value string
	valued      bool // it had an equals sign
}

// splitTag cuts a tag at its commas; single quotes around a value keep the commas in it.
func splitTag(tag string) ([]option, error) {
	var parts []option
	for {
		var part option
		end := strings.IndexAny(tag, ",=")
		if end >= 0 && tag[end] == '=' {
			part.name, part.valued = strings.TrimSpace(tag[:end]), true
			value, rest, err := splitValue(tag[end+1:])
			if err != nil {
				return nil, fmt.Errorf("option %q: %w", part.name, err)
			}
			part.value, tag = value, rest
		} else if end >= 0 {
			part.name, tag = strings.TrimSpace(tag[:end]), tag[end:]
		} else {
			part.name, tag = strings.TrimSpace(tag), ""
		}
		parts = append(parts, part)
		if tag == "" {
			return parts, nil
		}
		tag = tag[1:] // the comma
	}
}

// splitValue takes one value off the front; the rest is empty or starts with a comma.
func splitValue(s string) (value, rest string, err error) {
	if !strings.HasPrefix(s, "'") {
		if i := strings.IndexByte(s, ','); i >= 0 {
			return s[:i], s[i:], nil
		}
		return s, "", nil
	}
	end := strings.IndexByte(s[1:], '\'')
	if end < 0 {
		return "", "", fmt.Errorf("a quote is not closed")
	}
	value, rest = s[1:1+end], s[end+2:]
	if rest != "" && rest[0] != ',' {
		return "", "", fmt.Errorf("%q behind the closing quote", rest)
	}
	return value, rest, nil
}

var (
	columnOptions = []string{"key", "timestamp", "precision", "scale", "maxlen", "default", "format"}
	typeOptions   = []string{"topic", "table", "stream", "nomirror", "onerror", "ondecode", "relaxed"}
)

// unknownOption names the option that the writer may have meant.
func unknownOption(name string, valid []string) string {
	if near := nearest(name, valid); near != "" {
		return fmt.Sprintf("unknown option %q; did you mean %q?", name, near)
	}
	hint := ""
	if strings.Contains(name, " ") { // what is behind the comma of a value
		hint = "; a value that holds a comma is put in single quotes"
	}
	return fmt.Sprintf("unknown option %q; there are %s%s", name, strings.Join(valid, ", "), hint)
}

// nearest is the one of names that was probably meant; empty if none is near.
func nearest(name string, names []string) string {
	best, least := "", len(name)/2+2
	for _, n := range names {
		if d := levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(n)); d < least {
			best, least = n, d
		}
	}
	return best
}

// topicProblem says why Kafka would refuse the name; empty if it would not.
func topicProblem(name string) string {
	switch {
	case name == "":
		return "is empty"
	case name == "." || name == "..":
		return "is a directory"
	case len(name) > 249:
		return "is longer than 249 characters"
	}
	for _, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && !strings.ContainsRune("._-", r) {
			return fmt.Sprintf("has a %q; letters, digits, dot, underscore and dash are allowed", r)
		}
	}
	return ""
}

// nameProblem says why a name cannot be a column's; empty if it can. The characters are those that
// JSON tags of Go allow.
func nameProblem(name string) string {
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("!#$%&()*+-./:;<>?@[]^_{|}~ ", r) {
			return fmt.Sprintf("has a %q", r)
		}
	}
	return ""
}
