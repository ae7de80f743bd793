package engine_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

// Where others create the topics, the error has all commands at once. With what they make the
// engine runs.
func TestTopicsOfAnAdministrator(t *testing.T) {
	c := kafkatest.Start(t)
	topic, app := c.Topic(t, "rates", 2), c.Name("fx")
	p := newPipeline(t, app, topic)
	output := app + "-5min"
	cfg := engine.Config{Brokers: c.Brokers, Replication: 1, Topics: engine.Topics{WithoutCreation: true,
		Settings: map[string]string{"max.message.bytes": "2000000"},
		Of: map[string]engine.TopicSettings{output: {Partitions: 3,
			Settings: map[string]string{"retention.ms": "86400000", "cleanup.policy": "compact,delete"}}}}}
	err := run(t, p.plan, cfg)
	require.ErrorIs(t, err, engine.ErrTopicsMissing)
	require.NotErrorIs(t, err, kafka.ErrDenied, "nobody was asked")
	var commands []string
	for line := range strings.Lines(err.Error()) {
		if command := strings.TrimSpace(line); strings.HasPrefix(command, "kafka-topics.sh") {
			commands = append(commands, command)
		}
	}
	require.Len(t, commands, len(engine.CreatedTopics(p.plan)))
	start := "kafka-topics.sh --bootstrap-server " + strings.Join(c.Brokers, ",") + " --create --topic "
	defaults, err := c.Admin().Defaults(t.Context(), topic)
	require.NoError(t, err)
	var anyTime string // by the names that the broker knows
	for _, setting := range slices.Sorted(maps.Keys(defaults.AnyTimestamp)) {
		anyTime += " --config " + setting + "=9223372036854775807"
	}
	require.NotEmpty(t, anyTime)
	anyTime += " --config message.timestamp.type=CreateTime"
	require.Contains(t, commands, start+app+"--"+topic+
		"-changelog --partitions 2 --replication-factor 1 --config cleanup.policy=compact --config "+
		"delete.retention.ms=86400000 --config max.message.bytes=2000000"+anyTime+" --config retention.ms=-1")
	require.Contains(t, commands, start+output+
		" --partitions 3 --replication-factor 1 --config cleanup.policy=compact,delete --config "+
		"max.message.bytes=2000000"+anyTime+" --config retention.bytes=-1 --config retention.ms=86400000")

	cfg.Topics.WithoutCreation = false
	ready := startReady(t, p, cfg)
	require.NoError(t, ready.stop())
	found, err := c.Admin().Settings(t.Context(), output)
	require.NoError(t, err)
	require.Equal(t, []string{"compact,delete", "2000000", "86400000"}, []string{found["cleanup.policy"],
		found["max.message.bytes"], found["retention.ms"]})
	counts, err := c.Admin().Partitions(t.Context(), output)
	require.NoError(t, err)
	require.Equal(t, int32(3), counts[output])

	cfg.Topics.WithoutCreation = true
	require.NoError(t, startReady(t, p, cfg).stop(), "they are there now")
}

// startReady starts an engine and waits until it is ready.
func startReady(t *testing.T, p *pipeline, cfg engine.Config) *running {
	t.Helper()
	r := start(t, p.plan, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, r.WaitReady(ctx))
	return r
}

// A changelog that would lose state is refused, an output that is not compacted and a setting that
// is not as configured are warnings; each with the command that mends it.
func TestTopicsWithOtherSettings(t *testing.T) {
	c := kafkatest.Start(t)
	topic, app := c.Topic(t, "rates", 1), c.Name("fx")
	p := newPipeline(t, app, topic)
	changelog, output := app+"--"+topic+"-changelog", app+"-1min"
	alter := "kafka-configs.sh --bootstrap-server " + strings.Join(c.Brokers, ",") +
		" --alter --entity-type topics --entity-name "
	require.NoError(t, c.Admin().Ensure(t.Context(), kafka.TopicSpec{Name: output, Partitions: 1, Replication: -1,
		Config: map[string]string{"cleanup.policy": "delete"}}))
	cfg := engine.Config{Brokers: c.Brokers}
	r, lines := logged(t, p, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, r.WaitReady(ctx))
	require.NoError(t, r.stop())
	require.Contains(t, lines.String(), "output is not compacted")
	require.Contains(t, lines.String(), alter+output+" --add-config cleanup.policy=compact")

	cfg.Topics.Settings = map[string]string{"max.message.bytes": "2000000"}
	r, lines = logged(t, p, cfg)
	require.NoError(t, r.WaitReady(ctx))
	require.NoError(t, r.stop())
	require.Contains(t, lines.String(), alter+changelog+" --add-config max.message.bytes=2000000")

	require.NoError(t, c.Admin().Delete(t.Context(), changelog))
	require.Eventually(t, func() bool { // a real broker deletes at its leisure
		counts, err := c.Admin().Partitions(t.Context(), changelog)
		return err == nil && counts[changelog] == 0
	}, patience, 20*time.Millisecond)
	require.NoError(t, c.Admin().Ensure(t.Context(), kafka.TopicSpec{Name: changelog, Partitions: 1, Replication: -1,
		Config: map[string]string{"cleanup.policy": "delete", "retention.ms": "1000000"}}))
	err := run(t, p.plan, cfg)
	require.ErrorIs(t, err, kafka.ErrTopicMismatch)
	require.ErrorContains(t, err, alter+changelog+" --add-config cleanup.policy=compact,retention.ms=-1")
}

func TestTopicsMistakes(t *testing.T) {
	p := newPipeline(t, "fx", "rates")
	_, err := engine.New(p.plan, engine.Config{Brokers: []string{"b:1"},
		Topics: engine.Topics{Settings: map[string]string{"retention.ms": "1"},
			Of: map[string]engine.TopicSettings{"fx-1m": {}, "fx-1min": {Partitions: -1},
				"fx--rates-changelog": {Partitions: 3, Settings: map[string]string{"cleanup.policy": "delete"}}}}})
	for _, want := range []string{"Topics.Settings: retention.ms of all topics would lose state or event times",
		`Topics.Of["fx-1m"]: the engine creates no such topic: it creates fx--rates-changelog, fx-1min, `,
		`Topics.Of["fx-1min"].Partitions: -1 is too small: give 1 or more`,
		`Topics.Of["fx--rates-changelog"]: its Partitions follow`,
		`Topics.Of["fx--rates-changelog"]: cleanup.policy cannot be set`} {
		require.ErrorContains(t, err, want)
	}
}

// Secrets are neither in what is logged, at whichever level, nor in what is served, also when the
// brokers refuse them.
func TestSecretsAreNotServed(t *testing.T) {
	plan, _, _ := twoStages(t)
	_, right := secured(t, engine.ACLs(plan, engine.Config{}))
	wrong := right
	wrong.StartTimeout, wrong.Security.SASL = time.Second, &kafka.SASL{Mechanism: kafka.ScramSHA256, User: "fx",
		Password: kafka.NewSecret("another-" + fxPassword)}
	for _, cfg := range []engine.Config{right, wrong} {
		lines := &logLines{}
		cfg.Log, cfg.StatusAddr = slog.New(slog.NewTextHandler(lines,
			&slog.HandlerOptions{Level: slog.LevelDebug - 4})), "0"
		e, err := engine.New(plan, cfg)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		r := &running{Engine: e, cancel: cancel, done: make(chan error, 1)}
		go func() { r.done <- e.Run(ctx) }()
		require.Eventually(t, func() bool { return e.StatusAddr() != "" }, patience, time.Millisecond)
		var served []string
		for _, path := range []string{"/status", "/status.html", "/readyz", "/healthz"} {
			_, body, _ := fetch(t, r, path, "")
			served = append(served, body)
		}
		if cfg.Security.SASL == right.Security.SASL {
			require.NoError(t, e.WaitReady(ctx))
			_, body, _ := fetch(t, r, "/status", "")
			served = append(served, body)
			cancel()
		}
		err = <-r.done
		cancel()
		all := strings.Join(served, "\n") + lines.String() + fmt.Sprint(err)
		require.NotEmpty(t, lines.String())
		require.NotContains(t, all, fxPassword)
	}
}
