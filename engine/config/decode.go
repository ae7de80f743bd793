package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// decoder fills a document from the nodes of a file, and notes each problem.
type decoder struct {
	file     string
	look     func(string) (string, bool) // the environment
	problems []Problem
	places   map[string]place // of the keys that are set
	unsure   []string         // keys that were probably meant: nothing in them counts as missing
	more     int              // problems beyond maxProblems
	unknowns int              // keys that do not exist
	guesses  int              // names of which the nearest was looked for
	values   int              // that were looked at; one that has several names counts for each
}

// A file that is no configuration, or was made to be none, costs no more than these.
const (
	maxFile     = 1 << 20 // bytes
	maxValues   = 100_000
	maxProblems = 100     // that are told one by one, and as many keys that do not exist
	maxGuesses  = 2000    // names of which the nearest is looked for,
	maxGuessed  = 256     // and how long one may be: the time is the product of two lengths
	maxReparse  = 4 << 20 // bytes that are parsed again to find the place of an error
)

// enough says that no more values are looked at, and why.
func (d *decoder) enough(n *yaml.Node, path string) bool {
	d.values++
	if d.values == maxValues+1 {
		d.problems = append(d.problems, Problem{Place: d.at(n).text, Key: path, line: n.Line, column: n.Column,
			Text: fmt.Sprintf("the file sets more than %d values: nothing from here on is read", maxValues)})
	}
	return d.values > maxValues
}

// nearest is nearest, of so many names.
func (d *decoder) nearest(name string, names []string) string {
	if d.guesses++; d.guesses > maxGuesses || len(name) > maxGuessed {
		return ""
	}
	return nearest(name, names)
}

// rest adds what was only counted.
func (d *decoder) rest() {
	if d.more > 0 {
		d.problems = append(d.problems, Problem{Place: d.name(), Text: fmt.Sprintf("and %d more problems", d.more)})
	}
	if n := d.unknowns - maxProblems; n > 0 {
		d.problems = append(d.problems, Problem{Place: d.name(), Text: fmt.Sprintf("and %d more that are no keys", n),
			harmless: true})
	}
}

// place is where a key is set.
type place struct {
	text         string
	line, column int
}

func (d *decoder) at(n *yaml.Node) place {
	return place{fmt.Sprintf("%s:%d:%d", d.file, n.Line, n.Column), n.Line, n.Column}
}

func (d *decoder) problem(p place, key, format string, args ...any) *Problem {
	if len(d.problems) >= 2*maxProblems {
		d.more++
		return new(Problem)
	}
	d.problems = append(d.problems, Problem{Place: p.text, Key: key, Text: fmt.Sprintf(format, args...), line: p.line,
		column: p.column})
	return &d.problems[len(d.problems)-1]
}

// where is the place of a key, or of the nearest section around it that is set.
func (d *decoder) where(key string) place {
	for k := key; k != ""; k = k[:max(strings.LastIndexAny(k, ".["), 0)] {
		if p, ok := d.places[k]; ok {
			return p
		}
	}
	return place{text: d.name()}
}

func (d *decoder) name() string {
	if d.file == "" {
		return "environment"
	}
	return d.file
}

// join is the path of a key within a section.
func join(path, key string) string {
	if path == "" {
		return key
	}
	if strings.ContainsAny(key, "./ ") {
		return fmt.Sprintf("%s[%q]", path, key)
	}
	return path + "." + key
}

// section fills a struct from a mapping.
func (d *decoder) section(n *yaml.Node, v reflect.Value, path string) {
	if !d.mapping(n, path, "a section, with its keys below it, indented") {
		return
	}
	fields := fieldsOf(v.Type())
	d.pairs(n, path, func(key, value *yaml.Node) {
		f, ok := fields[key.Value]
		if !ok {
			d.unknown(key, path, fields)
			return
		}
		d.value(value, v.FieldByIndex(f.Index), f.Tag, join(path, key.Value))
	})
}

// mapping reports whether n is one. Nothing at all is an empty one.
func (d *decoder) mapping(n *yaml.Node, path, want string) bool {
	switch {
	case n.Kind == yaml.MappingNode:
		return true
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return false
	}
	d.problem(d.at(n), path, "must be %s; this is %s", want, kindOf(n))
	d.unsure = append(d.unsure, path)
	return false
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a section"
	case yaml.SequenceNode:
		return "a list"
	}
	return "a value"
}

// pairs calls do with each key and value, and notes keys that are there twice.
func (d *decoder) pairs(n *yaml.Node, path string, do func(key, value *yaml.Node)) {
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], resolved(n.Content[i+1])
		if d.enough(key, path) {
			return
		}
		if first := seen[key.Value]; first != nil {
			d.problem(d.at(key), join(path, key.Value), "is set twice, first in line %d: keep one", first.Line)
			continue
		}
		seen[key.Value] = key
		d.places[join(path, key.Value)] = d.at(key)
		do(key, value)
	}
}

func resolved(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// value fills one field.
func (d *decoder) value(n *yaml.Node, v reflect.Value, tag reflect.StructTag, path string) {
	switch {
	case v.Kind() == reflect.Pointer && v.Type().Elem().Kind() == reflect.Struct:
		v.Set(reflect.New(v.Type().Elem()))
		d.section(n, v.Elem(), path)
	case isSection(v.Type()):
		d.section(n, v, path)
	case v.Kind() == reflect.Slice:
		d.list(n, v, tag, path)
	case v.Kind() == reflect.Map:
		d.named(n, v, path)
	default:
		if text, place, ok := d.scalar(n, path); ok {
			d.set(place, v, tag, path, text, n.Value)
		}
	}
}

// set is set, with a problem that does not print what came from the environment.
func (d *decoder) set(p place, v reflect.Value, tag reflect.StructTag, path, text, written string) {
	err := set(v, tag, text)
	if err == nil {
		return
	}
	if text != written {
		d.problem(p, path, "the value of %s does not fit; wanted: %s", written, typeOf(v, tag))
		return
	}
	d.problem(p, path, "%v", err)
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, tag reflect.StructTag, path string) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	} else if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, ",") {
		example := strings.ReplaceAll(n.Value, ",", ", ")
		if strings.Contains(example, "@") {
			example = "..., ..." // a URL with a password
		}
		d.problem(d.at(n), path, "must be a list: write [%s]", example)
		return
	}
	for i, item := range items {
		if d.enough(item, path) {
			return
		}
		text, place, ok := d.scalar(resolved(item), path)
		if !ok {
			continue
		}
		one := reflect.New(v.Type().Elem()).Elem()
		d.set(place, one, tag, fmt.Sprintf("%s[%d]", path, i), text, item.Value)
		v.Set(reflect.Append(v, one))
	}
}

// named fills a map.
func (d *decoder) named(n *yaml.Node, v reflect.Value, path string) {
	if !d.mapping(n, path, "a section of names, each with what is set for it") {
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	d.pairs(n, path, func(key, value *yaml.Node) {
		one := reflect.New(v.Type().Elem()).Elem()
		d.value(value, one, "", join(path, key.Value))
		v.SetMapIndex(reflect.ValueOf(key.Value), one)
	})
}

var variable = regexp.MustCompile(`\$?\$\{([^}]*)\}`)

// scalar is the text of a value, with variables of the environment put in.
func (d *decoder) scalar(n *yaml.Node, path string) (string, place, bool) {
	p := d.at(n)
	switch {
	case n.Kind != yaml.ScalarNode:
		d.problem(p, path, "must be a single value; this is %s", kindOf(n))
		return "", p, false
	case n.Tag == "!!null":
		d.problem(p, path, "has no value: give one, or leave the key out")
		return "", p, false
	}
	ok := true
	text := variable.ReplaceAllStringFunc(n.Value, func(found string) string {
		if strings.HasPrefix(found, "$$") {
			return found[1:]
		}
		name := found[2 : len(found)-1]
		value, set := d.look(name)
		if !set {
			d.problem(p, path,
				"the environment has no variable %s: set it, or write $${ for a ${ that is meant as it stands", name)
			ok = false
		}
		return value
	})
	return text, p, ok
}

// unknown notes a key that does not exist, and what was probably meant.
func (d *decoder) unknown(key *yaml.Node, path string, fields map[string]reflect.StructField) {
	if d.unknowns++; d.unknowns > maxProblems {
		return
	}
	names := keysOf(fields)
	text := "is no key: there are " + oneOf(names)
	if near := d.nearest(key.Value, names); near != "" {
		text = fmt.Sprintf("is no key: did you mean %s?", near)
		d.unsure = append(d.unsure, join(path, near))
	} else if hint, ok := inKafka[key.Value]; ok {
		text = "is a setting of Kafka's own clients: " + hint
		d.unsure = append(d.unsure, strings.TrimPrefix(hint, hereItIs))
	} else if setting := topicSetting(key.Value); setting != "" && strings.HasPrefix(path, "topics") {
		text = fmt.Sprintf("is no key here: did you mean settings: {%s: ...}?", setting)
	} else if elsewhere := elsewhere(key.Value); elsewhere != "" {
		text = fmt.Sprintf("is no key here: did you mean %s?", elsewhere)
		d.unsure = append(d.unsure, elsewhere)
	}
	d.problem(d.at(key), join(path, key.Value), "%s", text).harmless = true
}

const hereItIs = "here it is "

// inKafka are settings of Java clients that people bring along.
var inKafka = map[string]string{
	"bootstrap.servers": hereItIs + "messaging.brokers", "client.id": hereItIs + "messaging.clientId",
	"security.protocol": hereItIs + "messaging.tls and messaging.sasl", "sasl.jaas.config": hereItIs +
		"messaging.sasl.user and passwordFile", "sasl.mechanism": hereItIs + "messaging.sasl.mechanism",
	"ssl.truststore.location": hereItIs + "messaging.tls.caFile, a file in PEM", "ssl.keystore.location": hereItIs +
		"messaging.tls.certFile and keyFile, files in PEM", "processing.guarantee": hereItIs + "core.guarantee",
	"state.dir": hereItIs + "core.stateDir", "commit.interval.ms": hereItIs + "core.commitInterval",
	"replication.factor": hereItIs + "topics.replication", "compression.type": hereItIs + "messaging.compression",
	"schema.registry.url": hereItIs + "registry.urls", "basic.auth.user.info": hereItIs +
		"registry.user and passwordFile", "bearer.auth.token": hereItIs + "registry.token",
	"auto.register.schemas": hereItIs + "registry.register",
	"application.id":        "here it is the name of the plan, which the program gives",
	"group.id":              "here it follows from the name of the plan, which the program gives",
	"num.stream.threads":    "leave it out, as each partition has a goroutine of its own",
}

// topicSetting is the setting of topics that a key has the name of, or begins.
func topicSetting(key string) string {
	for _, setting := range topicSettings {
		if bare(setting) == bare(key) || setting == key+".ms" {
			return setting
		}
	}
	return ""
}

// elsewhere is where a key is that was written in the wrong place.
func elsewhere(key string) string {
	for _, l := range leaves() {
		if last := l.path[strings.LastIndexByte(l.path, '.')+1:]; bare(last) == bare(key) || bare(l.path) == bare(key) {
			return l.path
		}
	}
	for _, section := range []string{"messaging.tls", "messaging.sasl"} {
		if strings.HasSuffix(section, "."+key) {
			return section
		}
	}
	return ""
}

func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.NumField() > 0 && t.Field(0).Tag.Get("key") != ""
}

// fieldsOf are the fields of a section by their keys.
func fieldsOf(t reflect.Type) map[string]reflect.StructField {
	fields := map[string]reflect.StructField{}
	for i := range t.NumField() {
		f := t.Field(i)
		fields[f.Tag.Get("key")] = f
	}
	return fields
}

// keysOf are the keys in the order of their declaration.
func keysOf(fields map[string]reflect.StructField) []string {
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return fields[a].Index[0] - fields[b].Index[0] })
	return names
}

// read parses the file into doc. It returns false for a file that is neither YAML nor JSON, which
// has that problem alone.
func (d *decoder) read(text []byte, doc *document) bool {
	if strings.HasSuffix(d.file, ".json") {
		var any json.RawMessage
		if err := json.Unmarshal(text, &any); err != nil {
			d.brokenJSON(text, err)
			return false
		}
		// JSON is YAML but for tabs, which JSON has between tokens only.
		text = bytes.ReplaceAll(text, []byte("\t"), []byte(" "))
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		d.brokenYAML(text, err)
		return false
	}
	if len(root.Content) > 0 { // else the environment may have all
		d.section(resolved(root.Content[0]), reflect.ValueOf(doc).Elem(), "")
	}
	return true
}

func (d *decoder) brokenJSON(text []byte, err error) {
	var syntax *json.SyntaxError
	p := place{text: d.file}
	if errors.As(err, &syntax) {
		before := text[:max(syntax.Offset-1, 0)]
		line, column := 1+bytes.Count(before, []byte("\n")), len(before)-bytes.LastIndexByte(before, '\n')
		p = place{fmt.Sprintf("%s:%d:%d", d.file, line, column), line, column}
	}
	d.problem(p, "", "is no JSON: %v", err)
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// brokenYAML places an error of the parser. That knows where the structure began that it cannot
// end; the line to look at is the first one that cannot be added to those before it.
func (d *decoder) brokenYAML(text []byte, err error) {
	line := 1
	if found := yamlLine.FindStringSubmatch(err.Error()); found != nil && found[1] != "" {
		line, _ = strconv.Atoi(found[1])
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	least := max(line, len(lines)-max(maxReparse/len(text), 1))
	for n := len(lines) - 1; n >= least; n-- {
		var ignored yaml.Node
		if yaml.Unmarshal(bytes.Join(lines[:n], nil), &ignored) == nil {
			line = n + 1
			break
		}
	}
	d.problem(place{fmt.Sprintf("%s:%d", d.file, line), line, 1}, "",
		"is no YAML: %s: look at the indentation, quotes and brackets of this line and those beside it",
		yamlLine.ReplaceAllString(err.Error(), ""))
}
