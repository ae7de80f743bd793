package engine_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/embedded"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/topology"
)

// await returns the first readiness that pass accepts.
func await(t *testing.T, e *engine.Engine, within time.Duration, pass func(engine.Readiness) bool) engine.Readiness {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for now := range e.ReadinessChanges(ctx) {
		if pass(now) {
			return now
		}
	}
	t.Fatalf("not within %v; the last readiness is %+v", within, e.Readiness())
	return engine.Readiness{}
}

func hasReason(r engine.Reason) func(engine.Readiness) bool {
	return func(now engine.Readiness) bool {
		for _, c := range now.Causes {
			if c.Reason == r {
				return true
			}
		}
		return false
	}
}

func isReady(now engine.Readiness) bool { return now.Ready }

// awaitTasks returns when n tasks are open: until then a broker that is lost ends Run, as one that
// is not there at start does.
func awaitTasks(t *testing.T, e *engine.Engine, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		open := 0
		for _, s := range e.Status().SubTopologies {
			for _, task := range s.Tasks {
				if task.Open {
					open++
				}
			}
		}
		return open == n
	}, patience, 10*time.Millisecond)
}

// A broker that is stopped is noticed within 2 s, reads say so, and all is well again by itself
// when it is back.
func TestBrokerLostAndBack(t *testing.T) {
	t.Parallel()
	cfg := embedded.Config{Dir: t.TempDir(), Topics: map[string]int32{"rates": 2}}
	broker, err := embedded.Start(cfg)
	require.NoError(t, err)
	defer func() { broker.Close() }()
	cfg.Addr = broker.Addrs()[0]
	p := newPipeline(t, "fx", "rates")
	e := start(t, p.plan, engine.Config{Brokers: broker.Addrs(), StateDir: t.TempDir(), StatusAddr: "0",
		CommitInterval: 50 * time.Millisecond})
	bars, err := engine.Table(e.Engine, p.final.Size(time.Minute))
	require.NoError(t, err)
	await(t, e.Engine, patience, isReady)
	_, err = bars.ToList(t.Context())
	require.NoError(t, err)
	require.Equal(t, 200, httpStatus(t, e, "/readyz"))

	awaitTasks(t, e.Engine, 2)
	broker.Close()
	lost := await(t, e.Engine, patience, hasReason(engine.BrokerLost))
	require.False(t, lost.Ready)
	_, err = bars.ToList(t.Context())
	require.ErrorIs(t, err, engine.ErrNotReady)
	var why *engine.NotReadyError
	require.ErrorAs(t, err, &why)
	require.Equal(t, engine.BrokerLost, why.Causes[0].Reason)
	require.ErrorContains(t, err, cfg.Addr)
	require.Equal(t, 503, httpStatus(t, e, "/readyz"))
	require.Equal(t, 200, httpStatus(t, e, "/healthz"))

	broker, err = embedded.Start(cfg)
	require.NoError(t, err)
	await(t, e.Engine, patience, isReady)
	_, err = bars.ToList(t.Context())
	require.NoError(t, err)
	require.Equal(t, 200, httpStatus(t, e, "/readyz"))

	require.NoError(t, e.stop())
	ended := e.Readiness()
	require.True(t, hasReason(engine.Stopped)(ended))
	_, err = bars.ToList(t.Context())
	require.ErrorIs(t, err, engine.ErrNotReady)
	require.ErrorIs(t, err, engine.ErrClosed)
}

// slowTable is a plan with a table only, of n rows in two partitions.
func slowTable(t *testing.T, c *kafkatest.Cluster, n int) (plan *topology.Plan, topic string,
	table *dsl.TableOf[string, holder]) {
	topic = c.Topic(t, "holders", 2)
	b := dsl.New(c.Name("desk"))
	table = dsl.Table[string, holder](b, topic)
	plan, err := b.Build()
	require.NoError(t, err)
	rows := make([]task.Output, n)
	for i := range rows {
		key := fmt.Sprint("a", i)
		rows[i] = task.Output{Key: []byte(key), Value: fmt.Appendf(nil, `{"account":%q,"Desk":"d"}`, key), Timestamp: 5}
	}
	c.Write(t, topic, 2, rows...)
	return plan, topic, table
}

// A table of which one partition has all that there is, and another has not, is ready after a
// restart.
func TestReadyAfterRestart(t *testing.T) {
	c := kafkatest.Start(t)
	plan, topic, _ := slowTable(t, c, 100)
	cfg := engine.Config{Brokers: c.Brokers, StateDir: t.TempDir()}
	e := start(t, plan, cfg)
	await(t, e.Engine, patience, isReady)
	require.NoError(t, e.stop())
	c.Write(t, topic, 2, task.Output{Key: []byte("one more"), Value: []byte(`{"account":"one more","Desk":"d"}`),
		Timestamp: 5})
	e = start(t, plan, cfg)
	await(t, e.Engine, patience, isReady)
	require.NoError(t, e.stop())
}

// A start that takes too long fails, and names what is missing.
func TestReadyTimeout(t *testing.T) {
	c := kafkatest.Start(t)
	plan, topic, _ := slowTable(t, c, 20_000)
	e, err := engine.New(plan, engine.Config{Brokers: c.Brokers, StateDir: t.TempDir()})
	require.NoError(t, err)
	engine.SetReadyTimeout(e, time.Nanosecond) // less than Config allows: no table is as fast
	err = e.Run(t.Context())
	require.ErrorIs(t, err, engine.ErrNotReady)
	require.ErrorContains(t, err, "not ready after 1ns (Config.ReadyTimeout)")
	require.ErrorContains(t, err, "catching_up table "+topic)
	_, err = engine.New(plan, engine.Config{Brokers: c.Brokers, ReadyTimeout: -2, MaxLag: -1, StatusAddr: "nowhere"})
	for _, problem := range []string{"ReadyTimeout", "MaxLag", "StatusAddr"} {
		require.ErrorContains(t, err, problem)
	}
}

// A state directory that vanishes, or that cannot be written, ends Run with an error that says so.
func TestStateDirLost(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]struct {
		do   func(dir string) error
		says string
	}{
		"vanished": {func(dir string) error { return os.Rename(dir, dir+".gone") }, "has vanished"},
		"unwritable": {func(dir string) error { return os.Mkdir(filepath.Join(dir, "~writable"), 0o750) },
			"cannot be written"},
	} {
		t.Run(name, func(t *testing.T) {
			c := kafkatest.Start(t)
			p := newPipeline(t, c.Name("fx"), c.Topic(t, "rates", 1))
			dir := filepath.Join(t.TempDir(), "state")
			e := start(t, p.plan, engine.Config{Brokers: c.Brokers, StateDir: dir})
			await(t, e.Engine, patience, isReady)
			require.NoError(t, lose.do(dir))
			select {
			case err := <-e.done:
				require.ErrorContains(t, err, "state directory "+dir+" "+lose.says)
			case <-time.After(10 * time.Second):
				t.Fatal("Run goes on without its state directory")
			}
			last := e.Readiness()
			require.True(t, hasReason(engine.Stopped)(last))
			require.Contains(t, last.Causes[len(last.Causes)-1].String(), lose.says)
		})
	}
}

// A body that is busy misses states in between and holds nobody up; the sequence ends with Run, and
// with its context.
func TestReadinessChanges(t *testing.T) {
	c := kafkatest.Start(t)
	plan, _, holders := slowTable(t, c, 10)
	e, err := engine.New(plan, engine.Config{Brokers: c.Brokers})
	require.NoError(t, err)
	table, err := engine.Table(e, holders)
	require.NoError(t, err)
	_, err = table.ToList(t.Context())
	require.ErrorIs(t, err, engine.ErrNotReady)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	var seen []string
	for now := range e.ReadinessChanges(t.Context()) {
		if len(seen) == 0 {
			go func() { done <- e.Run(ctx) }()
		}
		var reasons []string
		for _, cause := range now.Causes {
			reasons = append(reasons, string(cause.Reason))
		}
		seen = append(seen, strings.Join(reasons, ","))
		if now.Ready {
			cancel() // in the body: the engine ends while nobody listens
			require.NoError(t, <-done)
		}
	}
	require.Equal(t, "starting,catching_up", seen[0])
	require.Equal(t, "", seen[len(seen)-2])
	require.Equal(t, "stopped", seen[len(seen)-1])
}
