package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/windows"
)

type rig struct {
	*kafkatest.Cluster
	t               *testing.T
	source, letters string
}

// newRig has letters at 0:0 to 0:4, of which two are of records of a topic with two partitions.
func newRig(t *testing.T) *rig {
	c := kafkatest.Start(t)
	r := &rig{c, t, c.Topic(t, "rates", 2), c.Topic(t, "letters", 1)}
	written := windows.At(time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC))
	p, err := kafka.NewProducer(t.Context(), c.Config(), kafka.ProducerConfig{})
	require.NoError(t, err)
	for i, l := range []task.Letter{
		{Topic: r.source, Partition: 1, Offset: 7, Timestamp: 1000, Key: []byte("EUR"), Value: []byte(`{"bid":1`),
			Headers: []task.Header{{Key: "trace", Value: []byte("a")},
				{Key: "__ashi.redriven.letter", Value: []byte("0:0")}}, // not a mark for that
			Class: "decode", Text: "unexpected\nend", Step: "rates", Application: "fx", Task: "rates/1"},
		{Topic: r.source, Partition: 0, Offset: 9, Timestamp: 2000, Key: []byte{0, 1}, Value: []byte(`{}`),
			Class: "panic", Text: "boom", Stack: "goroutine 1 ...", Step: "check", Application: "fx"},
		{Topic: "finals", Offset: -1, Key: []byte("k"), Value: []byte("row"), Class: "too_large", Text: "600 bytes",
			Step: "to-finals", Application: "fx"},
		{Topic: r.source, Partition: 0, Offset: 10, Key: []byte("k"), Class: "function", Text: "no", Step: "check",
			Application: "other", Omitted: 5000},
	} {
		o := l.Output()
		o.Topic, o.Timestamp = r.letters, written+windows.Time(i*1000)
		p.Produce(t.Context(), &o)
	}
	p.Produce(t.Context(), &task.Output{Topic: r.letters, Value: []byte("somebody else's"), Timestamp: written})
	require.NoError(t, p.Commit(t.Context()))
	require.NoError(t, p.Close())
	return r
}

// do runs the command.
func (r *rig) do(command string, args ...string) (string, error) {
	r.t.Helper()
	var out, log bytes.Buffer
	err := run(r.t.Context(), append([]string{command, "-brokers", strings.Join(r.Brokers, ","), "-topic", r.letters},
		args...), &out, &log)
	return out.String(), err
}

func (r *rig) read(topic string) (all []string) {
	r.t.Helper()
	// of what is decided, but not yet marked so: Follow waits for that
	ends, err := r.Admin().Ends(r.t.Context(), topic, false)
	require.NoError(r.t, err)
	from := map[int32]int64{}
	for p := range ends {
		from[p] = kafka.Oldest
	}
	require.NoError(r.t, kafka.Follow(r.t.Context(), r.Config(), kafka.FollowConfig{Topic: topic, From: from,
		Until: ends, Apply: func(p int32, records []task.Record, _ int64) error {
			for _, rec := range records {
				headers := ""
				for _, h := range rec.Headers {
					headers += fmt.Sprintf(" %s=%s", h.Key, h.Value)
				}
				all = append(all, fmt.Sprintf("%d %d %q %q%s", p, rec.Timestamp, rec.Key, rec.Value, headers))
			}
			return nil
		}}))
	return all
}

func TestList(t *testing.T) {
	r := newRig(t)
	out, err := r.do("list")
	require.NoError(t, err)
	lines := strings.Split(out, "\n")
	require.Len(t, lines, 7, out)
	require.Equal(t, []string{"0:0", "2026-11-01T10:00:00Z", "fx", r.source + "/1@7", "decode", "rates", "EUR",
		`unexpected\nend`}, strings.Fields(lines[1]))
	require.Contains(t, lines[2], " 0x0001 ")
	require.Contains(t, lines[3], " a row for finals ")
	require.Equal(t, "4 letters", lines[5])
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-class", "decode"}, "0:0"},
		{[]string{"-step", "check", "-application", "fx"}, "0:1"},
		{[]string{"-source", "finals"}, "0:2"},
		{[]string{"-since", "2026-11-01T10:00:03Z"}, "0:3"},
		{[]string{"-until", "2026-11-01T10:00:01Z"}, "0:0"},
		{[]string{"-n", "1"}, "0:3"},
		{[]string{"0:1"}, "0:1"},
	} {
		out, err := r.do("list", c.args...)
		require.NoError(t, err)
		lines := strings.Split(out, "\n")
		require.Equal(t, "1 letters", lines[2], "%v", c.args)
		require.Equal(t, c.want, strings.Fields(lines[1])[0], "%v", c.args)
	}
}

func TestShow(t *testing.T) {
	r := newRig(t)
	out, err := r.do("show", "0:0")
	require.NoError(t, err)
	for _, want := range []string{"application ", "fx", "decode", r.source + "/1@7", "1970-01-01T00:00:01Z",
		"header trace", `{"bid":1`, "rates/1"} {
		require.Contains(t, out, want)
	}
	out, err = r.do("show", "0:1")
	require.NoError(t, err)
	require.Contains(t, out, "\n\ngoroutine 1 ...\n")
	out, err = r.do("show", "0:3")
	require.NoError(t, err)
	require.Contains(t, out, "5000 bytes, too large")
	for _, place := range []string{"0:4", "0:99", "1:0"} {
		_, err = r.do("show", place)
		require.ErrorContains(t, err, "there is no letter "+place)
	}
}

func TestRedrive(t *testing.T) {
	r := newRig(t)
	out, err := r.do("redrive", "0:0")
	require.NoError(t, err)
	require.Contains(t, out, "0:0 sent to "+r.source+"\n1 letters sent\n")
	first := fmt.Sprintf(`1 1000 "EUR" "{\"bid\":1" trace=a __ashi.redriven.letter=0:0 __ashi.redriven.from=%s/0@0`,
		r.letters)
	require.Equal(t, []string{first}, r.read(r.source))

	out, err = r.do("redrive", "0:0")
	require.ErrorContains(t, err, "1 letters not sent")
	require.Contains(t, out, "it was sent to "+r.source+" before")
	out, err = r.do("list", "-pending")
	require.NoError(t, err)
	require.NotContains(t, out, "0:0 ")
	require.Contains(t, out, "3 letters")

	out, err = r.do("redrive", "-all")
	require.ErrorContains(t, err, "2 letters not sent", "a row of the plan, and one without its value: "+out)
	require.Contains(t, out, "1 letters sent")
	require.ElementsMatch(t, []string{first, fmt.Sprintf(`0 2000 "\x00\x01" "{}" __ashi.redriven.from=%s/0@1`,
		r.letters)}, r.read(r.source))

	repaired := r.Topic(t, "repaired", 3)
	_, err = r.do("redrive", "-to", repaired, "0:2", "0:2")
	require.NoError(t, err)
	require.Equal(t, []string{fmt.Sprintf(`%d 0 "k" "row" __ashi.redriven.from=%s/0@2`, kafka.Partition([]byte("k"), 3),
		r.letters)}, r.read(repaired))
	_, err = r.do("redrive", "-again", "0:1")
	require.NoError(t, err)
	require.Len(t, r.read(r.source), 3)
	_, err = r.do("redrive", "-again", "-to", r.Name("nowhere"), "0:1")
	require.ErrorContains(t, err, "does not exist")
}

// The application's own file says how the cluster is reached.
func TestConfigurationFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "fx.yaml")
	text := "messaging: {brokers: [kafka-1:9093], tls: {}, sasl: {mechanism: SCRAM-SHA-512, user: fx, password: hush}}"
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	var c command
	require.NoError(t, c.parse("list", []string{"-config", file}, io.Discard))
	require.Equal(t, []string{"kafka-1:9093"}, c.kafka.Brokers)
	require.NotNil(t, c.kafka.Security.TLS)
	require.Equal(t, "fx", c.kafka.Security.SASL.User)
	require.NoError(t, c.parse("list", []string{"-config", file, "-brokers", "other:9093"}, io.Discard))
	require.Equal(t, []string{"other:9093"}, c.kafka.Brokers)
	require.ErrorContains(t, c.parse("list", []string{"-config", file + "x"}, io.Discard), "no such file")
}

func TestWrongArguments(t *testing.T) {
	for want, args := range map[string][]string{
		"want list, show or redrive":                {"purge"},
		`"abc" is no letter: give PARTITION:OFFSET`: {"show", "-brokers", "x:1", "abc"},
		`"-n" is no letter`:                         {"list", "-brokers", "x:1", "0:1", "-n"},
		"there is no such class: there are decode, function, panic, encode, misplaced, too_large, refused, manual, " +
			"null_value,": {"list", "-brokers", "x:1", "-class", "nosuch"},
		"-nosuch: deadletters list -h prints the flags": {"list", "-nosuch"},
		"no address given":      {"list"},
		"show wants one letter": {"show", "-brokers", "x:1"},
		"or -all, and not both": {"redrive", "-brokers", "x:1"},
		"not both":              {"redrive", "-brokers", "x:1", "-all", "0:1"},
	} {
		var out bytes.Buffer
		require.ErrorContains(t, run(t.Context(), args, &out, &out), want)
		require.Empty(t, out.String(), "main prints the error, once")
	}
}

// Help is no error, and says what there is.
func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"-h"}, {"--help"}, {"help"}} {
		var out bytes.Buffer
		require.ErrorIs(t, run(t.Context(), args, &out, &out), flag.ErrHelp)
		for _, want := range []string{"deadletters list", "deadletters show", "deadletters redrive"} {
			require.Contains(t, out.String(), want)
		}
	}
	var out bytes.Buffer
	require.ErrorIs(t, run(t.Context(), []string{"list", "-h"}, &out, &out), flag.ErrHelp)
	require.Contains(t, out.String(), strings.Join(task.Classes(), ", "))
}

// A topic of other records is no topic of dead letters; one that is empty has none.
func TestTopicOfOtherRecords(t *testing.T) {
	r := newRig(t)
	r.letters = r.Topic(t, "quotes", 2)
	out, err := r.do("list")
	require.NoError(t, err)
	require.Contains(t, out, "0 letters")
	r.Write(t, r.letters, 2, task.Output{Key: []byte("EUR"), Value: []byte("1")}, task.Output{Key: []byte("USD"),
		Value: []byte("2")})
	for _, command := range [][]string{{"list"}, {"show", "0:0"}, {"redrive", "-all"}} {
		_, err = r.do(command[0], command[1:]...)
		require.ErrorContains(t, err, "none of the 2 records of topic "+r.letters+" is a dead letter")
	}
}
