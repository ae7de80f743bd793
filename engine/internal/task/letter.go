package task

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ashi-stream/ashi/windows"
)

// Classes of errors in dead letters, beside the names of Reasons for records that no function
// failed for.
const (
	classFunction = "function" // returned an error
	classPanic    = "panic"
	classDecode   = "decode"
	classEncode   = "encode"
	classTooLarge = "too_large"
	classRefused  = "refused"
)

// ClassManual is the class of letters that the program asks for: dsl.Dead, or sent from outside.
const ClassManual = "manual"

// Classes are all classes of letters, those first that policies are asked for.
func Classes() []string {
	all := []string{classDecode, classFunction, classPanic, classEncode, Misplaced.String(), classTooLarge,
		classRefused, ClassManual}
	for _, r := range []Reason{NullValue, NullKey, Negative, Ahead} {
		all = append(all, r.String())
	}
	return all
}

// Headers of dead letters. Their values are text, numbers in decimal; the names are close to those
// of Kafka Connect and Kafka Streams. The record's own headers stand before them; the first one is
// where they begin.
const (
	headerTopic       = "__ashi.errors.topic"
	headerPartition   = "__ashi.errors.partition"
	headerOffset      = "__ashi.errors.offset"
	headerTimestamp   = "__ashi.errors.timestamp" // milliseconds since 1970
	headerClass       = "__ashi.errors.class"
	headerText        = "__ashi.errors.message"
	headerStep        = "__ashi.errors.step"
	headerApplication = "__ashi.errors.application"
	headerTask        = "__ashi.errors.task"
	headerStack       = "__ashi.errors.stacktrace"
	headerOmitted     = "__ashi.errors.omitted" // bytes of the value, which was too large for the letter
)

// Headers of what is sent anew from the dead letters: of the record, where its letter is; and of
// the mark that is written to the dead letters in the same transaction, which letter it is and
// where it went.
const (
	headerFrom   = "__ashi.redriven.from"   // topic/partition@offset
	headerLetter = "__ashi.redriven.letter" // partition:offset
	headerTo     = "__ashi.redriven.to"
)

const (
	maxText  = 1 << 10
	maxStack = 4 << 10
)

// Letter is a dead letter: a record and why it is not in the results.
type Letter struct {
	Topic     string // that it was read from; of a row that the plan made the one that it was for; empty: none
	Partition int32
	Offset    int64 // -1: the plan has made it
	Timestamp windows.Time

	Key, Value []byte // as they were
	Headers    []Header

	Class       string // function, panic, decode, encode, too_large, refused, manual, or the name of a Reason
	Text        string // of the error, at most 1 KiB
	Stack       string // of a panic, at most 4 KiB
	Step        string
	Application string
	Task        string
	Omitted     int // bytes of a value that did not fit: Value is nil
}

// Output is the letter as it is written. The caller adds topic, partition and timestamp.
func (l *Letter) Output() Output {
	o := Output{Key: l.Key, Value: l.Value, Headers: slices.Clone(l.Headers)}
	add := func(name, value string) {
		if value != "" || name == headerTopic {
			o.Headers = append(o.Headers, Header{Key: name, Value: []byte(value)})
		}
	}
	add(headerTopic, l.Topic)
	if l.Topic != "" {
		add(headerPartition, strconv.Itoa(int(l.Partition)))
	}
	if l.Offset >= 0 {
		add(headerOffset, strconv.FormatInt(l.Offset, 10))
	}
	add(headerTimestamp, strconv.FormatInt(int64(l.Timestamp), 10))
	add(headerClass, l.Class)
	add(headerText, cut(l.Text, maxText))
	add(headerStep, l.Step)
	add(headerApplication, l.Application)
	add(headerTask, l.Task)
	add(headerStack, cut(l.Stack, maxStack))
	if l.Omitted > 0 {
		add(headerOmitted, strconv.Itoa(l.Omitted))
	}
	return o
}

func cut(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "?")
}

// ParseLetter reads what Output wrote; false: the record is no letter.
func ParseLetter(r *Record) (Letter, bool) {
	first := -1
	for i, h := range r.Headers {
		if h.Key == headerTopic {
			first = i // of several the last: the record was a letter once
		}
	}
	if first < 0 {
		return Letter{}, false
	}
	l := Letter{Key: r.Key, Value: r.Value, Headers: r.Headers[:first:first], Offset: -1}
	for _, h := range r.Headers[first:] {
		text := string(h.Value)
		n, _ := strconv.ParseInt(text, 10, 64) // 0 where somebody else wrote it
		switch h.Key {
		case headerTopic:
			l.Topic = text
		case headerPartition:
			l.Partition = int32(n)
		case headerOffset:
			l.Offset = n
		case headerTimestamp:
			l.Timestamp = windows.Time(n)
		case headerClass:
			l.Class = text
		case headerText:
			l.Text = text
		case headerStep:
			l.Step = text
		case headerApplication:
			l.Application = text
		case headerTask:
			l.Task = text
		case headerStack:
			l.Stack = text
		case headerOmitted:
			l.Omitted = int(n)
		}
	}
	return l, true
}

// Redriven is the record of a letter as it is sent anew; from is where the letter is,
// topic/partition@offset. The caller adds topic and partition.
func (l *Letter) Redriven(from string) Output {
	own := slices.DeleteFunc(slices.Clone(l.Headers), func(h Header) bool { return h.Key == headerFrom })
	return Output{Key: l.Key, Value: l.Value, Headers: append(own, Header{Key: headerFrom, Value: []byte(from)}),
		Timestamp: l.Timestamp}
}

// Mark is a record of the dead letters that says that a letter was sent anew. The caller adds
// topic, partition and timestamp.
func Mark(partition int32, offset int64, to string) Output {
	return Output{Headers: []Header{{Key: headerLetter, Value: fmt.Appendf(nil, "%d:%d", partition, offset)},
		{Key: headerTo, Value: []byte(to)}}}
}

// ParseMark reads what Mark wrote; false: the record is no mark.
func ParseMark(r *Record) (letter, to string, ok bool) {
	for _, h := range r.Headers {
		switch h.Key {
		case headerLetter:
			letter, ok = string(h.Value), true
		case headerTo:
			to = string(h.Value)
		}
	}
	return letter, to, ok
}

// origin is the record that a failure is about, where it stands.
type origin struct {
	topic      string
	partition  int32
	offset     int64
	time       windows.Time
	key, value []byte
	headers    []Header
}

// origin is that of the row at work where it is not the record that was read; else of that record.
func (t *Task) origin() origin {
	switch {
	case t.derived != nil:
		return *t.derived
	case t.raw == nil || t.source == nil:
		return origin{offset: -1}
	}
	r := t.raw
	return origin{t.source.topic, t.cfg.Partition, r.Offset, r.Timestamp, r.Key, r.Value, r.Headers}
}

// letter writes the record at work to the dead letters, in the transaction under way. Of a record
// that was read there is one letter, however many steps it fails at: whoever sends it anew sends
// all of it.
func (t *Task) letter(f failure) {
	if t.derived == nil && t.raw != nil {
		if t.lettered {
			return
		}
		t.lettered = true
	}
	o := t.origin()
	if t.derived != nil {
		o.key = t.keep(o.key) // those of records that were read stay as they are
	}
	l := Letter{Topic: o.topic, Partition: o.partition, Offset: o.offset, Timestamp: o.time, Key: o.key, Value: o.value,
		Headers: o.headers, Class: f.class, Text: f.err.Error(), Step: f.step, Application: t.cfg.Application,
		Task: t.name()}
	if p := (*panicError)(nil); errors.As(f.err, &p) {
		l.Stack = string(p.stack)
	}
	out := t.fitting(&l)
	// the clock's: no retention by time takes it for an old one
	out.Topic, out.Timestamp = t.cfg.Sub.DeadLetters, windows.At(t.cfg.Now())
	if n := t.cfg.Sinks[out.Topic]; n > 0 {
		out.Partition = t.cfg.Partition % n
		if out.Key != nil {
			out.Partition = t.cfg.PartitionOf(out.Key, n)
		}
	}
	if r, refused := t.refusal(&out); refused { // a letter that is lost would be a record that is lost
		t.broken = &RecordError{t.name(), f.step, o.topic, o.partition, o.offset,
			fmt.Errorf("%w; and it cannot be a dead letter: %w", f.err, r.err)}
		return
	}
	t.send(t.ctx, out)
	t.changed = true
	t.drops.lettered(f.reason, f.step, o.offset, f.err)
}

// fitting is the letter as large as its topic takes: without its stack if need be, then without its
// value, then without the headers and key that it had.
func (t *Task) fitting(l *Letter) Output {
	o := l.Output()
	for _, without := range []func(){
		func() { l.Stack = "" },
		func() { l.Value, l.Omitted = nil, len(l.Value) },
		func() { l.Key, l.Headers = nil, nil },
	} {
		o.Topic = t.cfg.Sub.DeadLetters
		if !t.tooLarge(&o) {
			break
		}
		without()
		o = l.Output()
	}
	return o
}

// recordBytes is more than a batch of one record takes beside the record's key, value and headers:
// 61 of the batch, and the lengths.
const recordBytes = 61 + 64

// size is the bytes that o takes in a batch of its own, or a few more.
func (o *Output) size() int {
	n := recordBytes + len(o.Key) + len(o.Value)
	for i := range o.Headers {
		n += len(o.Headers[i].Key) + len(o.Headers[i].Value) + 10
	}
	return n
}

// tooLarge says that the topic of o does not take its size.
func (t *Task) tooLarge(o *Output) bool {
	limit := t.cfg.Limits[o.Topic].Bytes
	return limit > 0 && o.size() > limit
}
