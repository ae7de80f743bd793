package streamstest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/topology"
)

// paired is a result in ashi.
type paired struct {
	Key  string `ashi:"key,key" json:"-"`
	Text string `json:"text"`
}

func both(l, r *item) (paired, error) { return paired{Text: text(l, r)}, nil }

// joinPlan is the joins in ashi.
func joinPlan(t *testing.T, app string, joins []*join) *topology.Plan {
	b := dsl.New(app)
	for _, j := range joins {
		j.declare(b)
	}
	p, err := b.Build()
	require.NoError(t, err)
	return p
}

func (j *join) declare(b *dsl.Builder) {
	switch j.kind() {
	case "streams":
		j.declareStreams(b)
	case "lookup":
		j.declareLookup(b)
	case "tables":
		j.declareTables(b)
	default:
		j.declareForeign(b)
	}
}

func (j *join) declareStreams(b *dsl.Builder) {
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	made := map[string]func(*dsl.StreamOf[item], *dsl.StreamOf[item], dsl.Span,
		func(*item, *item) (paired, error)) *dsl.StreamOf[paired]{
		"streams inner": dsl.Join[item, item, paired], "streams left": dsl.LeftJoin[item, item, paired],
		"streams right": dsl.RightJoin[item, item, paired], "streams outer": dsl.OuterJoin[item, item, paired]}
	made[j.form](dsl.Stream[item](b, j.topics[left]), dsl.Stream[item](b, j.topics[right]),
		dsl.Within(ms(j.before), ms(j.after)).Grace(ms(j.grace)), both).
		To(j.outputs[ours])
}

func (j *join) declareLookup(b *dsl.Builder) {
	made := dsl.JoinTable[string, item, item, paired]
	if j.keep()[left] {
		made = dsl.LeftJoinTable[string, item, item, paired]
	}
	made(dsl.Stream[item](b, j.topics[left]), dsl.Table[string, item](b, j.topics[right]), both).To(j.outputs[ours])
}

func (j *join) declareTables(b *dsl.Builder) {
	made := map[string]func(*dsl.TableOf[string, item], *dsl.TableOf[string, item],
		func(*item, *item) (paired, error)) *dsl.TableOf[string, paired]{
		"tables inner": dsl.JoinTables[string, item, item, paired],
		"tables left":  dsl.LeftJoinTables[string, item, item, paired],
		"tables right": dsl.RightJoinTables[string, item, item, paired],
		"tables outer": dsl.OuterJoinTables[string, item, item, paired]}
	made[j.form](dsl.Table[string, item](b, j.topics[left]), dsl.Table[string, item](b, j.topics[right]),
		both).To(j.outputs[ours])
}

func (j *join) declareForeign(b *dsl.Builder) {
	made := dsl.JoinForeign[string, string, item, item, paired]
	if j.keep()[left] {
		made = dsl.LeftJoinForeign[string, string, item, item, paired]
	}
	made(dsl.Table[string, item](b, j.topics[left]), dsl.Table[string, item](b, j.topics[right]),
		func(l *item) (string, bool) { return l.F, l.F != "" }, both).To(j.outputs[ours])
}

// joinAshi runs the joins in ashi until all is taken.
func joinAshi(ctx context.Context, t *testing.T, c *kafkatest.Cluster, app string, joins []*join) {
	plan := joinPlan(t, app, joins)
	e, err := engine.New(plan, engine.Config{Brokers: c.Brokers, CommitInterval: 200 * time.Millisecond,
		MaxAhead: engine.NoBound, Log: slog.New(slog.NewTextHandler(t.Output(),
			&slog.HandlerOptions{Level: slog.LevelError}))})
	require.NoError(t, err)
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- e.Run(running) }()
	var reads []string
	for _, s := range plan.Subs {
		reads = append(reads, s.Topics()...)
	}
	awaitTaken(ctx, t, c, app, reads)
	stop()
	require.NoError(t, <-done)
}

// parsePaired reads a result as a side writes it; nil is a deletion.
func parsePaired(t *testing.T, side int, value []byte) string {
	if side == theirs || value == nil {
		return string(value)
	}
	var p paired
	require.NoError(t, codecs.JSON[paired]().Decode(value, &p))
	return p.Text
}
