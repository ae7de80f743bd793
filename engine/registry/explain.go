package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/ashi-stream/ashi/topology"
)

// advice says what the rules of compatibility allow.
var advice = map[string]string{
	"BACKWARD": "new readers must read old records: a new column needs default=... in its tag or a pointer type; " +
		"columns may be removed; types may only widen (int to long, float to double)",
	"FORWARD": "old readers must read new records: columns may be added; only those with a default or of a pointer " +
		"type may be removed; types may only narrow",
	"FULL": "old and new readers must read both: columns that are added or removed need default=... in their tag or " +
		"a pointer type; types must not change",
}

// explained makes an error of the registry's no.
func (r *Registry) explained(ctx context.Context, subject string, s sr.Schema, err error) error {
	var answer *sr.ResponseError
	if errors.Is(err, topology.ErrUnavailable) || !errors.As(err, &answer) {
		return fmt.Errorf("registry: subject %s: %w", subject, err)
	}
	switch {
	case r.cfg.LookupOnly && answer.StatusCode == http.StatusNotFound:
		return fmt.Errorf(
			"registry: subject %s: the schema is not registered, and registration is switched off (LookupOnly); an "+
				"administrator registers it with\n  %s", subject, command(r.cfg.URLs[0], subject, s))
	case answer.StatusCode == http.StatusConflict:
		return r.incompatible(ctx, subject, s, answer)
	case answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden:
		return fmt.Errorf(
			"registry: subject %s: not allowed (status %d): %w; check user, password or token, and the rights to "+
				"read and write the subject", subject, answer.StatusCode, err)
	}
	return fmt.Errorf("registry: subject %s: status %d: %w", subject, answer.StatusCode, err)
}

// command registers a schema by hand.
func command(base, subject string, s sr.Schema) string {
	body, err := json.Marshal(s)
	if err != nil {
		return err.Error()
	}
	quoted := strings.ReplaceAll(string(body), "'", `'\''`)
	return fmt.Sprintf(
		"curl -X POST -H 'Content-Type: application/vnd.schemaregistry.v1+json' --data '%s' '%s/subjects/%s/versions'",
		quoted, strings.TrimSuffix(base, "/"), url.PathEscape(subject))
}

// maxDifferences is how many columns that differ an error lists.
const maxDifferences = 50

// incompatible explains a conflict: the registry's words, what differs, what the rule allows. What
// cannot be found out is left out.
func (r *Registry) incompatible(ctx context.Context, subject string, s sr.Schema, answer *sr.ResponseError) error {
	var b strings.Builder
	level := ""
	if got := r.client.Compatibility(ctx, subject); len(got) == 1 && got[0].Err == nil {
		level = got[0].Level.String()
	}
	fmt.Fprintf(&b, "registry: subject %s: the schema is not compatible with what is registered", subject)
	if level != "" {
		fmt.Fprintf(&b, " (the subject's rule is %s)", level)
	}
	fmt.Fprintf(&b, "\n  the registry says: %s", cut(answer.Error()))
	if latest, err := r.client.SchemaByVersion(ctx, subject, -1); err == nil {
		list := differences(latest.Schema, s)
		for i, d := range list {
			if i == maxDifferences {
				fmt.Fprintf(&b, "\n  and %d more", len(list)-i)
				break
			}
			fmt.Fprintf(&b, "\n  against version %d: %s", latest.Version, cut(d))
		}
	}
	if text := advice[strings.TrimSuffix(level, "_TRANSITIVE")]; text != "" {
		fmt.Fprintf(&b, "\n  %s: %s", level, text)
	}
	b.WriteString("\n  else write to another topic or subject, or let an administrator change the subject's rule")
	return &refusal{b.String(), answer}
}

// refusal is an explained error of the registry.
type refusal struct {
	text string
	err  error
}

func (e *refusal) Error() string { return e.text }
func (e *refusal) Unwrap() error { return e.err }

// differences lists what a new schema has otherwise than an old one.
func differences(before, after sr.Schema) (list []string) {
	if before.Type != after.Type {
		return []string{fmt.Sprintf("it is %s, and was %s", after.Type, before.Type)}
	}
	was, is := columns(before), columns(after)
	for _, name := range slices.Sorted(maps.Keys(is)) {
		old, ok := was[name]
		switch {
		case !ok:
			list = append(list, fmt.Sprintf("%s is new: %s", name, is[name]))
		case old != is[name]:
			list = append(list, fmt.Sprintf("%s was %s, and is %s", name, old, is[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if _, ok := is[name]; !ok {
			list = append(list, fmt.Sprintf("%s is gone; it was %s", name, was[name]))
		}
	}
	return list
}

// columns is the fields of a schema as text: those of an Avro record, the properties of a JSON
// Schema, the lines of a .proto file.
func columns(s sr.Schema) map[string]string {
	m := map[string]string{}
	switch s.Type {
	case sr.TypeAvro:
		var record struct {
			Fields []struct {
				Name    string
				Type    json.RawMessage
				Default json.RawMessage
			}
		}
		if _, err := avro.Parse(s.Schema); err != nil || json.Unmarshal([]byte(s.Schema), &record) != nil {
			return m
		}
		for _, f := range record.Fields {
			text := string(f.Type) + " without default"
			if f.Default != nil {
				text = fmt.Sprintf("%s with default %s", f.Type, f.Default)
			}
			m["column "+f.Name] = text
		}
	case sr.TypeJSON:
		var object struct{ Properties map[string]json.RawMessage }
		if json.Unmarshal([]byte(s.Schema), &object) != nil {
			return m
		}
		for name, property := range object.Properties {
			m["column "+name] = string(property)
		}
	case sr.TypeProtobuf:
		for line := range strings.Lines(s.Schema) {
			line = strings.TrimSuffix(strings.TrimSpace(line), ";")
			if left, number, ok := strings.Cut(line, " = "); ok {
				m["field "+number] = left
			}
		}
	}
	return m
}
