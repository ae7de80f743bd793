package entity

import (
	"fmt"
	"strings"
	"unicode"
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
	typeOptions   = []string{"topic", "table", "stream", "nomirror", "onerror", "ondecode"}
)

// unknownOption names the option that the writer may have meant.
func unknownOption(name string, valid []string) string {
	best, distance := "", len(name)/2+2
	for _, v := range valid {
		if d := editDistance(strings.ToLower(name), v); d < distance {
			best, distance = v, d
		}
	}
	if best == "" {
		return fmt.Sprintf("unknown option %q; there are %s", name, strings.Join(valid, ", "))
	}
	return fmt.Sprintf("unknown option %q; did you mean %q?", name, best)
}

// editDistance counts the insertions, deletions and replacements between a and b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
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

// nameProblem says why a name cannot be a column's; empty if it can. The characters are those that JSON tags of Go allow.
func nameProblem(name string) string {
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("!#$%&()*+-./:;<>?@[]^_{|}~ ", r) {
			return fmt.Sprintf("has a %q", r)
		}
	}
	return ""
}
