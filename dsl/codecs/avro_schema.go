package codecs

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ashi-stream/ashi/topology"
)

// avroType is a type of a writer's schema. A named type is one avroType, wherever it is referred
// to, so the types of a schema may be a graph with cycles.
type avroType struct {
	kind     string // null, boolean, int, long, float, double, string, bytes, record, enum, fixed, array, map, union
	name     string // of a named type, with its namespace
	logical  string // what the value means, see meaningOf; empty: nothing but the value
	scale    int    // of a decimal
	size     int    // of a fixed
	fields   []avroField
	symbols  []string
	items    *avroType // of arrays and maps
	branches []*avroType
}

type avroField struct {
	name string
	typ  *avroType
}

// String names the type in errors.
func (t *avroType) String() string {
	switch {
	case t.name != "" && t.logical != "":
		return fmt.Sprintf("%s %s (%s)", t.kind, t.name, t.logical)
	case t.name != "":
		return t.kind + " " + t.name
	case t.logical != "":
		return fmt.Sprintf("%s (%s)", t.kind, t.logical)
	}
	return t.kind
}

// shortName is the name without its namespace.
func (t *avroType) shortName() string { return t.name[strings.LastIndexByte(t.name, '.')+1:] }

// maxAvroDepth bounds how deep schemas are nested, and values of recursive types that are skipped:
// both are read by recursion.
const maxAvroDepth = 1000

var errAvroDepth = fmt.Errorf("nested more than %d deep", maxAvroDepth)

// parseAvro reads a schema and those that it refers to. It accepts more than a registry would: what
// a reader does not need, such as the defaults of the writer's fields and enums, is not checked, so
// that no such mistake makes a topic unreadable.
func parseAvro(s topology.Schema) (*avroType, error) {
	p := avroParser{named: map[string]*avroType{}, done: map[string]bool{}}
	if err := p.references(s.References, 0); err != nil {
		return nil, err
	}
	t, err := p.text(s.Text)
	if err != nil {
		return nil, fmt.Errorf("the writer's schema: %w", err)
	}
	return t, nil
}

type avroParser struct {
	named map[string]*avroType
	done  map[string]bool // references
}

// references defines the types of other schemas, those first that they refer to themselves.
func (p *avroParser) references(list []topology.Reference, depth int) error {
	if depth > maxAvroDepth {
		return errAvroDepth
	}
	for i := range list {
		ref := &list[i]
		id := fmt.Sprintf("%d %s", ref.Version, ref.Subject)
		if p.done[id] {
			continue
		}
		p.done[id] = true
		if err := p.references(ref.Schema.References, depth+1); err != nil {
			return err
		}
		if _, err := p.text(ref.Schema.Text); err != nil {
			return fmt.Errorf("the writer's schema refers to %s, version %d of subject %s: %w", ref.Name, ref.Version,
				ref.Subject, err)
		}
	}
	return nil
}

func (p *avroParser) text(text string) (*avroType, error) {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return nil, err
	}
	return p.parse(v, "", 0)
}

func (p *avroParser) parse(v any, space string, depth int) (*avroType, error) {
	if depth > maxAvroDepth {
		return nil, errAvroDepth
	}
	switch v := v.(type) {
	case string:
		return p.byName(v, space)
	case []any:
		u := &avroType{kind: "union"}
		for _, b := range v {
			t, err := p.parse(b, space, depth+1)
			if err != nil {
				return nil, err
			}
			u.branches = append(u.branches, t)
		}
		return u, nil
	case map[string]any:
		return p.object(v, space, depth)
	}
	return nil, fmt.Errorf("%.60v is no type", v)
}

// byName finds a primitive type, or a named one: first in the namespace around it, then without
// one.
func (p *avroParser) byName(name, space string) (*avroType, error) {
	switch name {
	case "null", "boolean", "int", "long", "float", "double", "string", "bytes":
		return &avroType{kind: name}, nil
	}
	if space != "" && !strings.Contains(name, ".") {
		if t := p.named[space+"."+name]; t != nil {
			return t, nil
		}
	}
	if t := p.named[strings.TrimPrefix(name, ".")]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("there is no type %.60q", name)
}

func (p *avroParser) object(o map[string]any, space string, depth int) (t *avroType, err error) {
	kind, plain := o["type"].(string)
	if !plain {
		if t, err = p.parse(o["type"], space, depth+1); err == nil && t.name == "" {
			t.mean(o)
		}
		return t, err
	}
	switch kind {
	case "record", "error":
		t = &avroType{kind: "record"}
		if space, err = p.define(t, o, space); err == nil {
			err = p.fields(t, o["fields"], space, depth)
		}
	case "enum":
		t = &avroType{kind: kind}
		if _, err = p.define(t, o, space); err == nil {
			t.symbols, err = textsOf(o["symbols"])
		}
	case "fixed":
		t = &avroType{kind: kind}
		size, ok := o["size"].(float64)
		if t.size = int(size); !ok || size < 0 || size != float64(t.size) {
			err = fmt.Errorf("a fixed of size %.60v", o["size"])
		} else if _, err = p.define(t, o, space); err == nil {
			t.mean(o)
		}
	case "array", "map":
		items := "items"
		if kind == "map" {
			items = "values"
		}
		t = &avroType{kind: kind}
		t.items, err = p.parse(o[items], space, depth+1)
	default:
		if t, err = p.byName(kind, space); err == nil && t.name == "" {
			t.mean(o)
		}
	}
	return t, err
}

// define gives a named type its name. The result is the namespace within it.
func (p *avroParser) define(t *avroType, o map[string]any, space string) (string, error) {
	name, _ := o["name"].(string)
	if name == "" {
		return "", fmt.Errorf("a %s without a name", t.kind)
	}
	if given, ok := o["namespace"].(string); ok {
		space = given
	}
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		space, name = name[:i], name[i+1:]
	}
	if t.name = name; space != "" {
		t.name = space + "." + name
	}
	if p.named[t.name] != nil {
		return "", fmt.Errorf("the type %.60q is defined twice", t.name)
	}
	p.named[t.name] = t
	return space, nil
}

func (p *avroParser) fields(t *avroType, v any, space string, depth int) error {
	list, ok := v.([]any)
	if !ok {
		return fmt.Errorf("record %.60s has no list of fields", t.name)
	}
	for _, v := range list {
		o, _ := v.(map[string]any)
		name, _ := o["name"].(string)
		if name == "" {
			return fmt.Errorf("record %.60s has a field without a name", t.name)
		}
		typ := o["type"]
		switch kind, _ := typ.(string); kind {
		case "int", "long", "string", "bytes": // some put the attributes of the type beside it
			typ = o
		}
		ft, err := p.parse(typ, space, depth+1)
		if err != nil {
			return fmt.Errorf("field %.60q: %w", name, err)
		}
		t.fields = append(t.fields, avroField{name, ft})
	}
	return nil
}

func textsOf(v any) ([]string, error) {
	list, _ := v.([]any)
	texts := make([]string, len(list))
	for i := range list {
		var ok bool
		if texts[i], ok = list[i].(string); !ok {
			return nil, errors.New("an enum has a symbol that is no text")
		}
	}
	return texts, nil
}

// The meanings of values: those of Avro's logical types, where a local timestamp is taken for UTC,
// and one of Debezium's.
const (
	avroDecimal    = "decimal"
	avroBigDecimal = "big-decimal"
	avroUUID       = "uuid"
	avroDate       = "date"
	avroDuration   = "duration"
	avroTimeMs     = "time-millis"
	avroTimeUs     = "time-micros"
	avroTimeNs     = "time-nanos"
	avroMs         = "timestamp-millis"
	avroUs         = "timestamp-micros"
	avroNs         = "timestamp-nanos"
	avroTimeText   = "text of a timestamp"
)

// connectNames are what Kafka Connect and Debezium call the same meanings, in the attribute
// connect.name.
var connectNames = map[string]string{
	"org.apache.kafka.connect.data.Decimal":   avroDecimal,
	"org.apache.kafka.connect.data.Date":      avroDate,
	"org.apache.kafka.connect.data.Time":      avroTimeMs,
	"org.apache.kafka.connect.data.Timestamp": avroMs,
	"io.debezium.time.Date":                   avroDate,
	"io.debezium.time.Time":                   avroTimeMs,
	"io.debezium.time.MicroTime":              avroTimeUs,
	"io.debezium.time.NanoTime":               avroTimeNs,
	"io.debezium.time.MicroDuration":          avroTimeUs,
	"io.debezium.time.NanoDuration":           avroTimeNs,
	"io.debezium.time.Timestamp":              avroMs,
	"io.debezium.time.MicroTimestamp":         avroUs,
	"io.debezium.time.NanoTimestamp":          avroNs,
	"io.debezium.time.ZonedTimestamp":         avroTimeText,
	"io.debezium.time.IsoTimestamp":           avroTimeText,
}

// mean notes the meaning of a primitive type or a fixed. One that does not fit the type is ignored,
// as the specification demands.
func (t *avroType) mean(o map[string]any) {
	logical, _ := o["logicalType"].(string)
	logical = strings.TrimPrefix(logical, "local-")
	if !t.fits(logical, o) {
		connect, _ := o["connect.name"].(string)
		if logical = connectNames[connect]; !t.fits(logical, o) {
			return
		}
	}
	t.logical = logical
	if logical == avroDecimal {
		t.scale, _ = decimalScale(t, o)
	}
}

func (t *avroType) fits(logical string, o map[string]any) bool {
	switch logical {
	case avroDecimal:
		_, ok := decimalScale(t, o)
		return ok
	case avroBigDecimal:
		return t.kind == "bytes"
	case avroUUID:
		return t.kind == "string" || t.kind == "fixed" && t.size == 16
	case avroDuration:
		return t.kind == "fixed" && t.size == 12
	case avroDate, avroTimeMs:
		return t.kind == "int"
	case avroTimeUs, avroTimeNs, avroMs, avroUs, avroNs:
		return t.kind == "long"
	case avroTimeText:
		return t.kind == "string"
	}
	return false
}

// decimalScale is the scale of a decimal; false if the attributes make none. Connect has a scale
// without a precision.
func decimalScale(t *avroType, o map[string]any) (scale int, ok bool) {
	number := func(name string) (int, bool) {
		n, ok := o[name].(float64)
		return int(n), ok && n == float64(int(n))
	}
	precision, known := number("precision")
	if _, given := o["scale"]; given {
		if scale, ok = number("scale"); !ok {
			return 0, false
		}
	}
	if o["connect.name"] == "org.apache.kafka.connect.data.Decimal" {
		if parameters, _ := o["connect.parameters"].(map[string]any); parameters["scale"] != nil {
			var err error
			if scale, err = strconv.Atoi(fmt.Sprint(parameters["scale"])); err != nil {
				return 0, false
			}
		}
		return scale, t.kind == "bytes" && scale >= -maxExponent && scale <= maxExponent
	}
	return scale, (t.kind == "bytes" || t.kind == "fixed") && known && precision > 0 && scale >= 0 &&
		scale <= precision && scale <= maxExponent
}
