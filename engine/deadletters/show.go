package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ashi-stream/ashi/windows"
)

// list prints a line for each letter.
func (c *command) list(ctx context.Context) error {
	letters, err := c.read(ctx)
	if err == nil && len(c.selected) > 0 {
		letters, err = c.named(letters)
	}
	if err != nil {
		return err
	}
	var shown []*letter
	for _, l := range letters {
		if !c.pending || l.sentTo == "" {
			shown = append(shown, l)
		}
	}
	if c.limit > 0 && len(shown) > c.limit {
		shown = shown[len(shown)-c.limit:]
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LETTER\tWRITTEN\tAPPLICATION\tRECORD\tCLASS\tSTEP\tKEY\tERROR\tSENT ANEW")
	for _, l := range shown {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.place(), l.written.Format(time.RFC3339), l.Application,
			l.record(), l.Class, l.Step, short(text(l.Key), 24), short(line(l.Text), 80), l.sentTo)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%d letters\n", len(shown))
	return nil
}

// record is where the record of a letter was read.
func (l *letter) record() string {
	switch {
	case l.Topic == "":
		return "a row of the plan"
	case l.Offset < 0:
		return "a row for " + l.Topic
	}
	return fmt.Sprintf("%s/%d@%d", l.Topic, l.Partition, l.Offset)
}

// show prints a letter whole.
func (c *command) show(ctx context.Context) error {
	letters, err := c.read(ctx)
	if err != nil {
		return err
	}
	if letters, err = c.named(letters); err != nil {
		return err
	}
	l := letters[0]
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, value)
		}
	}
	row("letter", l.place())
	row("written", l.written.Format(time.RFC3339Nano))
	row("application", l.Application)
	row("task", l.Task)
	row("step", l.Step)
	row("class", l.Class)
	row("error", line(l.Text))
	row("record", l.record())
	row("timestamp", moments(l.Timestamp))
	for _, h := range l.Headers {
		row("header "+h.Key, text(h.Value))
	}
	row("key", text(l.Key))
	row("value", text(l.Value))
	if l.Omitted > 0 {
		row("value", fmt.Sprintf("%d bytes, too large for the letter: it is where it was read, if that still has it",
			l.Omitted))
	}
	row("sent anew to", l.sentTo)
	if err := w.Flush(); err != nil {
		return err
	}
	if l.Stack != "" {
		fmt.Fprintf(c.out, "\n%s\n", l.Stack)
	}
	return nil
}

func moments(at windows.Time) string { return time.UnixMilli(int64(at)).UTC().Format(time.RFC3339Nano) }

// text is bytes as they are where they are printable text, else in hex.
func text(b []byte) string {
	if b == nil {
		return "null"
	}
	for _, r := range string(b) {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return fmt.Sprintf("0x%x", b)
		}
	}
	if len(b) == 0 {
		return `""`
	}
	return string(b)
}

// line is s in one line that a terminal is not harmed by.
func line(s string) string {
	q := strconv.Quote(s)
	return strings.ReplaceAll(strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`), `\\`, `\`)
}

func short(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}
