package streamstest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/engine/registry"
	"github.com/ashi-stream/ashi/engine/registry/registrytest"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// quote is what Java's quotes are read as: its schema has them in another order, a column more,
// others' names and types.
type quote struct {
	Pair string      `ashi:"pair,key"`
	Bid  float64     `ashi:"bid"`
	Size apd.Decimal `ashi:"size,precision=9,scale=3"`
	At   time.Time   `ashi:"at,timestamp,format=ms"`
	Side string      `ashi:"side,default=B"`
}

const javaQuote = `{"type":"record","name":"JavaQuote","namespace":"com.example","fields":[
	{"name":"venue","type":"string"},
	{"name":"PAIR","type":["null","string"],"default":null},
	{"name":"bid","type":"float"},
	{"name":"size","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
	{"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}}]}`

// quoteBar is a final row for Java.
type quoteBar struct {
	Pair  string      `ashi:"pair,key"`
	Start time.Time   `ashi:"start,format=ms"`
	High  float64     `ashi:"high"`
	Size  apd.Decimal `ashi:"size,precision=12,scale=3"`
	Side  *string     `ashi:"side"`
	N     int64       `ashi:"n"`
}

// java runs Registered.java and returns what it prints.
func (s *registered) java(t *testing.T, args ...string) string {
	args = append([]string{"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", s.jars + "/*", "java/registered/Registered.java",
		strings.Join(s.cluster.Brokers, ",")}, args...)
	cmd := exec.CommandContext(t.Context(), "java", args...)
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	require.NoError(t, err)
	return string(out)
}

// registered is a broker, a registry and Java.
type registered struct {
	cluster  *kafkatest.Cluster
	registry *registrytest.Registry
	schemas  topology.Schemas
	jars     string
	dir      string
}

// file is a file with a text, for Java.
func (s *registered) file(t *testing.T, name string, text []byte) string {
	path := filepath.Join(s.dir, name)
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return path
}

// latest is a file with the newest schema of a subject.
func (s *registered) latest(t *testing.T, subject string) string {
	schema, version := s.registry.Latest(subject)
	require.Positive(t, version, subject)
	return s.file(t, subject, []byte(schema.Text))
}

// Avro's and Protobuf's own Java classes read what ashi writes in Confluent's frame, windowed keys
// too, and ashi reads what they write, with a writer's schema of their own.
func TestRegisteredAgainstJava(t *testing.T) {
	s := &registered{jars: jarsOf(t, "java/registered/pom.xml"), cluster: kafkatest.Start(t),
		registry: registrytest.Start(t), dir: t.TempDir()}
	var err error
	s.schemas, err = registry.New(registry.Config{URLs: []string{s.registry.URL}})
	require.NoError(t, err)
	c := s.cluster
	quotes, texts := c.Topic(t, "quotes", 1), c.Topic(t, "texts", 1)
	bars, summaries := c.Name("bars"), c.Name("summaries")
	wrappers, err := proto.Marshal(protodesc.ToFileDescriptorProto(wrapperspb.File_google_protobuf_wrappers_proto))
	require.NoError(t, err)
	descriptor := s.file(t, "wrappers.pb", wrappers)
	text, err := codecs.Proto[wrapperspb.StringValue]().Schema()
	require.NoError(t, err)
	key := s.registry.Register(quotes+"-key", topology.Schema{Format: topology.AvroSchema, Text: `["null","string"]`})
	keys := s.latest(t, quotes+"-key")
	value := s.registry.Register(quotes+"-value", topology.Schema{Format: topology.AvroSchema, Text: javaQuote})
	s.java(t, "write", quotes, strconv.Itoa(key), keys, strconv.Itoa(value), s.latest(t, quotes+"-value"))
	s.java(t, "write", texts, strconv.Itoa(key), keys, strconv.Itoa(s.registry.Register(texts+"-value", text)),
		descriptor)

	e, err := engine.New(s.plan(t, quotes, texts, bars, summaries), engine.Config{Brokers: c.Brokers,
		CommitInterval: 100 * time.Millisecond,
		Log:            slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- e.Run(running) }()
	require.NoError(t, e.WaitReady(ctx))
	require.Equal(t, []string{
		`EURUSD@1700006400000 {"pair": "EURUSD", "start": 1700006400000, "high": 1.5, "size": 1.500, "side": "B", "n": 2}`,
		`GBPUSD@1700006400000 {"pair": "GBPUSD", "start": 1700006400000, "high": -2.0, "size": 2.250, "side": "B", "n": 1}`,
	}, strings.Split(strings.TrimSpace(s.java(t, "read", bars, s.latest(t, bars+"-key"), s.latest(t, bars+"-value"),
		"2")), "\n"))
	require.Equal(t, []string{
		`EURUSD@1700006400000 google.protobuf.StringValue EURUSD: 2, last EURUSD 1.5`,
		`GBPUSD@1700006400000 google.protobuf.StringValue GBPUSD: 1, last GBPUSD -2.0`,
	}, strings.Split(strings.TrimSpace(s.java(t, "read", summaries, s.latest(t, summaries+"-key"), descriptor, "2")),
		"\n"))
	stop()
	require.NoError(t, <-done)
	for _, sub := range e.Status().SubTopologies {
		require.Zero(t, sub.Dropped["undecodable"], sub.Name)
	}
}

func (s *registered) plan(t *testing.T, quotes, texts, bars, summaries string) *topology.Plan {
	b := dsl.New(s.cluster.Name("app"))
	avroKeys := codecs.Registered(s.schemas, codecs.AvroKey[string]())
	in := dsl.Stream[quote](b, quotes).Codec(codecs.Registered(s.schemas, codecs.Avro[quote]()))
	dsl.Aggregate(dsl.GroupByKey[string](dsl.ReadKeys(in, avroKeys)), windows.Minutes(1),
		func(g dsl.Group[string, quote]) quoteBar {
			side := aggregates.LatestByOffset(g, func(q *quote) string { return q.Side })
			return quoteBar{Pair: g.Key(), Start: g.WindowStart(),
				High: aggregates.Max(g, func(q *quote) float64 { return q.Bid }), Size: aggregates.SumDecimal(g, 12, 3,
					func(q *quote) apd.Decimal { return q.Size }), Side: &side, N: aggregates.Count(g)}
		}).Codec(codecs.Registered(s.schemas, codecs.Avro[quoteBar]())).KeyCodec(avroKeys).Final().Named(
		func(windows.Kind) string { return bars })

	lines := dsl.Stream[wrapperspb.StringValue](b, texts).Codec(codecs.Registered(s.schemas,
		codecs.Proto[wrapperspb.StringValue]()))
	pair := func(v *wrapperspb.StringValue) string { return strings.Fields(v.Value)[0] }
	dsl.Aggregate(dsl.GroupBy(dsl.ReadKeys(lines, avroKeys), pair), windows.Minutes(1),
		func(g dsl.Group[string, wrapperspb.StringValue]) wrapperspb.StringValue {
			last := aggregates.LatestByOffset(g, func(v *wrapperspb.StringValue) string { return v.Value })
			return wrapperspb.StringValue{Value: fmt.Sprintf("%s: %d, last %s", g.Key(), aggregates.Count(g), last)}
		}).Codec(codecs.Registered(s.schemas, codecs.Proto[wrapperspb.StringValue]())).KeyCodec(avroKeys).Final().Named(
		func(windows.Kind) string { return summaries })
	plan, err := b.Build()
	require.NoError(t, err)
	return plan
}
