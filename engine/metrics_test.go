package engine_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/topology"
)

var (
	descName   = regexp.MustCompile(`fqName: "([^"]+)"`)
	descLabels = regexp.MustCompile(`variableLabels: \{([^}]*)\}`)
	docRow     = regexp.MustCompile("(?m)^\\| `(ashi_[a-z_]+)` \\| ([^|]*)\\|")
	word       = regexp.MustCompile("`([a-z_]+)`")
	metricName = regexp.MustCompile(`\bashi_[a-z_]+\b`)
	ofHistory  = regexp.MustCompile(`_seconds_(bucket|sum|count)$`)
	grouped    = regexp.MustCompile(`by \(([a-z_, ]+)\) \((?:rate|increase)?\(?(ashi_[a-z_]+)`)
)

// described is the labels of each metric that the collector has, but for application.
func described(t *testing.T, e *engine.Engine) map[string][]string {
	t.Helper()
	ch := make(chan *prometheus.Desc, 1000)
	e.Collector().Describe(ch)
	close(ch)
	all := map[string][]string{}
	for d := range ch {
		name := descName.FindStringSubmatch(d.String())[1]
		require.NotContains(t, all, name, "described twice")
		require.Contains(t, d.String(), `application="fx"`)
		all[name] = []string{}
		if labels := descLabels.FindStringSubmatch(d.String())[1]; labels != "" {
			all[name] = strings.Split(labels, ",")
		}
	}
	return all
}

func idle(t *testing.T, app string) *engine.Engine {
	t.Helper()
	e, err := engine.New(newPipeline(t, app, "rates").plan, engine.Config{Brokers: []string{"127.0.0.1:1"}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

// The table of docs/metrics.md has every metric with its labels, and no other.
func TestMetricsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/metrics.md")
	require.NoError(t, err)
	documented := map[string][]string{}
	for _, row := range docRow.FindAllStringSubmatch(string(page), -1) {
		documented[row[1]] = []string{}
		for _, label := range word.FindAllStringSubmatch(row[2], -1) {
			documented[row[1]] = append(documented[row[1]], label[1])
		}
	}
	require.Equal(t, described(t, idle(t, "fx")), documented)
}

// The dashboard asks for every metric, for no other, and groups by labels that they have.
func TestDashboardAsksForMetricsThereAre(t *testing.T) {
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	b, err := os.ReadFile("../docs/dashboards/ashi.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &board))
	known := described(t, idle(t, "fx"))
	asked := map[string]bool{}
	groups := 0
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			names := metricName.FindAllString(target.Expr, -1)
			require.NotEmpty(t, names, p.Title)
			for _, name := range names {
				name = ofHistory.ReplaceAllString(name, "_seconds")
				require.Contains(t, known, name, "panel %q", p.Title)
				asked[name] = true
			}
			for _, g := range grouped.FindAllStringSubmatch(target.Expr, -1) {
				labels := append([]string{"application", "le"}, known[ofHistory.ReplaceAllString(g[2], "_seconds")]...)
				require.Subset(t, labels, strings.Split(g[1], ", "), "panel %q: %s", p.Title, g[2])
				groups++
			}
		}
	}
	require.Greater(t, groups, 20, "the expressions are not what this test takes them for")
	for name := range known {
		require.True(t, asked[name], "%s is in no panel", name)
	}
}

// Engines of two applications go into one registry.
func TestCollectorsOfTwoApplications(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(idle(t, "fx").Collector()))
	require.NoError(t, registry.Register(idle(t, "other").Collector()))
	_, err := registry.Gather()
	require.NoError(t, err)
}

// gathered is the metrics of e by name, checked for what Prometheus advises.
func gathered(t *testing.T, e *engine.Engine) map[string][]*dto.Metric {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(e.Collector()))
	families, err := registry.Gather()
	require.NoError(t, err)
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
	all := map[string][]*dto.Metric{}
	for _, f := range families {
		all[f.GetName()] = f.Metric
	}
	return all
}

// total is the sum over the series of a metric that have a label's value; of histograms the number
// of observations.
func total(metrics []*dto.Metric, label, value string) (sum float64) {
	for _, m := range metrics {
		for _, l := range m.Label {
			if label == "" || l.GetName() == label && l.GetValue() == value {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
				break
			}
		}
	}
	return sum
}

func TestMetrics(t *testing.T) {
	const partitions = 2
	c := kafkatest.Start(t)
	topic, app := c.Topic(t, "rates", partitions), c.Name("fx")
	p := newPipeline(t, app, topic)
	rates := randomRates(rand.New(rand.NewPCG(1, 2)), dayStart, 1000, time.Second)
	rates = append(rates, endRates(rates, partitions)...)
	cfg := engine.Config{Brokers: c.Brokers, StateDir: t.TempDir(), CommitInterval: 50 * time.Millisecond,
		CheckpointInterval: 10 * time.Millisecond}
	e := start(t, p.plan, cfg)
	await(t, e.Engine, patience, isReady)
	write(t, c.Config(), p, rates)
	awaitRows(t, e.Engine, p, rates, partitions)

	sub := p.plan.Subs[0]
	m := gathered(t, e.Engine)
	n := float64(len(rates))
	require.Equal(t, n, total(m["ashi_consumed_records_total"], "topic", topic))
	require.Greater(t, total(m["ashi_consumed_bytes_total"], "topic", topic), 30*n)
	finals := 0.0
	for _, bars := range oracle(rates, partitions, time.Minute) {
		finals += float64(len(bars))
	}
	require.Equal(t, finals, total(m["ashi_produced_records_total"], "topic", p.final.Stream(time.Minute).Topic))
	require.Positive(t, total(m["ashi_produced_bytes_total"], "topic", p.final.Stream(time.Minute).Topic))
	require.Positive(t, total(m["ashi_produced_records_total"], "topic", topology.ChangelogName(app, sub.Name)))
	for _, name := range []string{"ashi_process_seconds", "ashi_commit_seconds", "ashi_checkpoint_seconds",
		"ashi_end_to_end_seconds", "ashi_checkpoint_bytes_total", "ashi_task_memory_bytes", "ashi_state_bytes",
		"ashi_stream_time_seconds"} {
		require.Positive(t, total(m[name], "sub_topology", sub.Name), name)
	}
	require.Positive(t, total(m["ashi_rebalance_seconds"], "", ""), "of the group, whatever its sub-topologies")
	require.EqualValues(t, partitions, total(m["ashi_restore_seconds"], "", ""), "one for each task")
	require.EqualValues(t, partitions, total(m["ashi_tasks"], "", ""))
	require.EqualValues(t, 0, total(m["ashi_tasks_restoring"], "", ""))
	require.EqualValues(t, 1, total(m["ashi_ready"], "", ""))
	require.EqualValues(t, 2, total(m["ashi_table_ready"], "", ""))
	require.Positive(t, total(m["ashi_table_rows"], "", ""))
	require.Len(t, m["ashi_input_lag_records"], partitions)
	require.EqualValues(t, 0, total(m["ashi_aborted_transactions_total"], "", ""))
	last := rates[len(rates)-1].At
	for _, s := range m["ashi_stream_time_seconds"] {
		require.EqualValues(t, last.Unix(), s.GetGauge().GetValue())
	}
	require.NoError(t, e.stop())
	require.Empty(t, gathered(t, e.Engine)["ashi_input_lag_records"], "tasks that have ended")

	// Another process restores what is not in its stores.
	cfg.StateDir = t.TempDir()
	e = start(t, p.plan, cfg)
	await(t, e.Engine, patience, isReady)
	require.Eventually(t, func() bool {
		return total(gathered(t, e.Engine)["ashi_restored_records_total"], "",
			"") > 0
	}, patience, 20*time.Millisecond)
	require.Positive(t, total(gathered(t, e.Engine)["ashi_restored_bytes_total"], "", ""))
	require.NoError(t, e.stop())
}
