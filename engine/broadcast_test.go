package engine_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

type sale struct {
	ID    string `ashi:"id,key"`
	Buyer string
}

type person struct {
	Name string `ashi:"name,key"`
	City string
}

type sold struct {
	ID   string `ashi:"id,key"`
	City string
}

func sell(s *sale, p *person) (sold, error) {
	if p == nil {
		return sold{s.ID, "unknown"}, nil
	}
	return sold{s.ID, p.City}, nil
}

// put writes rows to a topic; nil deletes the key.
func put[R any](t testing.TB, c *kafkatest.Cluster, to interface{ StreamRef() topology.StreamOf[R] },
	rows map[string]*R) {
	t.Helper()
	producer, err := kafka.NewProducer(context.Background(), c.Config(), kafka.ProducerConfig{})
	require.NoError(t, err)
	defer func() { require.NoError(t, producer.Close()) }()
	ref := to.StreamRef()
	for key, row := range rows {
		o := task.Output{Topic: ref.Topic, Partition: task.OnKey, Key: []byte(key), Timestamp: windows.At(dayStart)}
		if row != nil {
			o.Value, err = ref.Encode(nil, row)
			require.NoError(t, err)
		}
		producer.Produce(context.Background(), &o)
	}
	require.NoError(t, producer.Commit(context.Background()))
}

// awaitTable returns when a table has the rows that are wanted.
func awaitTable[K comparable, R comparable](t testing.TB, e *engine.Engine,
	of interface{ Ref() topology.TableOf[K, R] }, want map[K]R, key func(R) K) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, e.WaitReady(ctx))
	table, err := engine.Table(e, of)
	require.NoError(t, err)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		rows, err := table.ToList(ctx)
		require.NoError(t, err)
		got := map[K]R{}
		for _, r := range rows {
			got[key(r)] = r
		}
		select {
		case <-ctx.Done():
			require.Equal(t, want, got, "after a minute")
		case <-tick.C:
		}
		if fmt.Sprint(got) == fmt.Sprint(want) { // maps print in the order of keys
			return
		}
	}
}

func soldID(s sold) string { return s.ID }

// Tasks wait for the table: every sale finds what was in its topic at the start. The topics have
// different numbers of partitions.
func TestJoinBroadcast(t *testing.T) {
	const n = 3000
	c := kafkatest.Start(t)
	b := dsl.New(c.Name("shop"))
	sales := dsl.Stream[sale](b, c.Topic(t, "sales", 2))
	people := dsl.Table[string, person](b, c.Topic(t, "people", 3))
	topic := c.Topic(t, "sold", 2)
	dsl.LeftJoinBroadcast(sales, people, func(s *sale) string { return s.Buyer }, sell).To(topic)
	plan, err := b.Build()
	require.NoError(t, err)
	results := dsl.New(c.Name("reader"))
	table := dsl.Table[string, sold](results, topic)
	reading, err := results.Build()
	require.NoError(t, err)

	persons, buys, want := map[string]*person{}, map[string]*sale{}, map[string]sold{}
	for i := range n {
		id, name := fmt.Sprint("s", i), fmt.Sprint("p", i)
		persons[name], buys[id], want[id] = &person{name, "city of " + name}, &sale{id, name},
			sold{id, "city of " + name}
	}
	put(t, c, people, persons)
	put(t, c, sales, buys)
	cfg := engine.Config{Brokers: c.Brokers, Dial: c.Dial, CommitInterval: 50 * time.Millisecond}
	joining, reader := start(t, plan, cfg), start(t, reading, cfg)
	awaitTable(t, reader.Engine, table, want, soldID)

	put(t, c, people, map[string]*person{"p1": {"p1", "Rome"}, "p2": nil})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	awaitTable(t, joining.Engine, people, peopleAfter(persons), func(p person) string { return p.Name })
	require.NoError(t, engine.Add(ctx, joining.Engine, sales, sale{"s1", "p1"}))
	require.NoError(t, engine.Add(ctx, joining.Engine, sales, sale{"s2", "p2"}))
	want["s1"], want["s2"] = sold{"s1", "Rome"}, sold{"s2", "unknown"}
	awaitTable(t, reader.Engine, table, want, soldID)
	require.NoError(t, joining.stop())
	require.NoError(t, reader.stop())

	_, err = engine.New(plan, engine.Config{Brokers: c.Brokers, WithoutTables: "too little memory"})
	require.ErrorContains(t, err, "tables are switched off in this one: too little memory")
}

func peopleAfter(persons map[string]*person) map[string]person {
	all := map[string]person{}
	for name, p := range persons {
		all[name] = *p
	}
	all["p1"] = person{"p1", "Rome"}
	delete(all, "p2")
	return all
}
