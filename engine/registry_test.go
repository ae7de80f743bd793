package engine_test

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/engine/registry"
	"github.com/ashi-stream/ashi/engine/registry/registrytest"
)

// A record whose schema cannot be asked for is not dropped: it waits until the registry answers.
func TestRegistryOutage(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t)
	c := kafkatest.Start(t)
	in, out := c.Topic(t, "in", 1), c.Topic(t, "out", 1)
	schemas, err := registry.New(registry.Config{URLs: []string{r.URL}, Patience: 100 * time.Millisecond})
	require.NoError(t, err)
	b := dsl.New(c.Name("app"))
	rates := dsl.Stream[Rate](b, in).Codec(codecs.Registered(schemas, codecs.Avro[Rate]()))
	rates.To(out).Codec(codecs.Registered(schemas, codecs.Avro[Rate]()))
	copied := dsl.Stream[Rate](dsl.New("reader"), out).Codec(codecs.Registered(schemas, codecs.Avro[Rate]()))
	plan, err := b.Build()
	require.NoError(t, err)

	// What other programs have written, with schemas of their own.
	writer, err := codecs.Avro[Rate]().Schema()
	require.NoError(t, err)
	row := Rate{Pair: "EURUSD", Bid: 1.5, At: time.UnixMilli(1700006400000).UTC()}
	frame := func(id int) []byte {
		data, err := codecs.Avro[Rate]().Encode(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), &row)
		require.NoError(t, err)
		return data
	}
	known := r.Register("elsewhere", writer)
	writer.Text = strings.Replace(writer.Text, `"Rate"`, `"Other"`, 1)
	met := r.Register("elsewhere", writer)
	write := func(id int) {
		c.Write(t, in, 1, task.Output{Topic: in, Partition: task.OnKey, Key: []byte(row.Pair), Value: frame(id)})
	}
	write(known)

	e, err := engine.New(plan, engine.Config{Brokers: c.Brokers, CommitInterval: 50 * time.Millisecond,
		StartTimeout: 30 * time.Second, Log: slog.New(slog.NewTextHandler(t.Output(),
			&slog.HandlerOptions{Level: slog.LevelError}))})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	r.Down(true) // before the engine starts: it waits
	go func() { done <- e.Run(running) }()
	require.Eventually(t, func() bool { return r.Requests() > 2 }, patience, 5*time.Millisecond)
	r.Down(false)

	rows, errAll := 0, errors.New("all")
	err = engine.ForEach(ctx, e, copied, func(got Rate) error {
		assert.Equal(t, row, got)
		if rows++; rows == 2 {
			return errAll
		}
		r.Down(true) // while it runs
		before := r.Requests()
		write(9999) // that of a schema that there is none of
		write(met)
		assert.Eventually(t, func() bool { return r.Requests() > before+5 }, patience, 5*time.Millisecond)
		r.Down(false)
		return nil
	})
	require.ErrorIs(t, err, errAll)
	require.EqualValues(t, 1, e.Status().SubTopologies[0].Dropped["undecodable"],
		"the registry has said that there is no such schema")
	stop()
	require.NoError(t, <-done)
}

// Readers wait for a schema that cannot be asked for, in place of passing its records over.
func TestReadersWaitForTheRegistry(t *testing.T) {
	r := registrytest.Start(t)
	c := kafkatest.Start(t)
	in := c.Topic(t, "in", 1)
	schemas, err := registry.New(registry.Config{URLs: []string{r.URL}})
	require.NoError(t, err)
	b := dsl.New(c.Name("app"))
	rates := dsl.Stream[Rate](b, in).Codec(codecs.Registered(schemas, codecs.Avro[Rate]()))
	rates.To(c.Name("out"))
	plan, err := b.Build()
	require.NoError(t, err)
	e, err := engine.New(plan, engine.Config{Brokers: c.Brokers, Dial: c.Dial, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	row := Rate{Pair: "EURUSD", Bid: 1.5, At: time.UnixMilli(1700006400000).UTC()}
	require.NoError(t, engine.Add(ctx, e, rates, row))

	// which knows no id yet
	fresh, err := registry.New(registry.Config{URLs: []string{r.URL}, Patience: 200 * time.Millisecond})
	require.NoError(t, err)
	reader := dsl.Stream[Rate](dsl.New("reader"), in).Codec(codecs.Registered(fresh, codecs.Avro[Rate]()))
	r.Down(true)
	short, end := context.WithCancel(ctx)
	asked := r.Requests()
	ended := make(chan error, 1)
	go func() {
		ended <- engine.ForEach(short, e, reader, func(Rate) error { return errors.New("there is no schema") })
	}()
	require.Eventually(t, func() bool { return r.Requests() > asked+3 }, patience, 5*time.Millisecond)
	end()
	require.ErrorIs(t, <-ended, context.Canceled)
	asked = r.Requests()
	up := make(chan struct{})
	go func() {
		defer close(up)
		assert.Eventually(t, func() bool { return r.Requests() > asked+3 }, patience, 5*time.Millisecond)
		r.Down(false)
	}()
	for got, err := range engine.Rows(ctx, e, reader) {
		require.NoError(t, err)
		require.Equal(t, row, got)
		break
	}
	<-up
	require.Zero(t, e.Status().PassedOver[in]["undecodable"])
}

// A table with framed keys waits for the registry too; one that was mirrored before its keys were
// told is made anew.
func TestTableKeysInARegistry(t *testing.T) {
	r := registrytest.Start(t)
	c := kafkatest.Start(t)
	topic, dir := c.Topic(t, "last", 2), t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	// open runs an engine over the table, lets f use it, and ends it.
	open := func(keyed bool, patience time.Duration, f func(e *engine.Engine, table *dsl.TableOf[string, Rate])) {
		schemas, err := registry.New(registry.Config{URLs: []string{r.URL}, Patience: patience})
		require.NoError(t, err)
		b := dsl.New(c.Name("app"))
		table := dsl.Table[string, Rate](b, topic)
		if keyed {
			table.KeyCodec(codecs.Registered(schemas, codecs.AvroKey[string]()))
		}
		plan, err := b.Build()
		require.NoError(t, err)
		e, err := engine.New(plan, engine.Config{Brokers: c.Brokers, Dial: c.Dial, StateDir: dir,
			ReadyTimeout: engine.NoBound, Log: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		running, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- e.Run(running) }()
		f(e, table)
		stop()
		require.NoError(t, <-done)
	}
	row := Rate{Pair: "EURUSD", Bid: 1.5, At: time.UnixMilli(1700006400000).UTC()}
	open(true, time.Minute, func(e *engine.Engine, table *dsl.TableOf[string, Rate]) {
		require.NoError(t, engine.AddAndWait(ctx, e, table, row))
	})
	count := func(e *engine.Engine, table *dsl.TableOf[string, Rate]) (rows int) {
		require.NoError(t, e.WaitReady(ctx))
		read, err := engine.Table(e, table)
		require.NoError(t, err)
		for _, err := range read.All(ctx) {
			require.NoError(t, err)
			rows++
		}
		got, ok, err := read.Get(ctx, "EURUSD")
		require.NoError(t, err)
		if ok {
			require.Equal(t, row, got)
			rows += 10
		}
		return rows
	}
	open(false, time.Minute, func(e *engine.Engine, table *dsl.TableOf[string, Rate]) {
		require.Equal(t, 1, count(e, table), "its key is no text that anybody would ask for")
	})
	r.Down(true)
	open(true, 200*time.Millisecond, func(e *engine.Engine, table *dsl.TableOf[string, Rate]) {
		asked := r.Requests()
		require.Eventually(t, func() bool { return r.Requests() > asked+3 }, patience, 5*time.Millisecond)
		require.False(t, e.Readiness().Ready)
		r.Down(false)
		require.Equal(t, 11, count(e, table))
	})
}
