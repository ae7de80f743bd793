package config_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/config"
	"github.com/ashi-stream/ashi/engine/kafka"
)

// sameConfig compares all but what cannot be compared.
func sameConfig(t *testing.T, want, got engine.Config) {
	t.Helper()
	if want.Security.SASL != nil {
		require.NotNil(t, got.Security.SASL)
		require.Equal(t, want.Security.SASL.Password.Reveal(), got.Security.SASL.Password.Reveal())
		a, b := *want.Security.SASL, *got.Security.SASL
		a.Password, b.Password = kafka.Secret{}, kafka.Secret{}
		want.Security.SASL, got.Security.SASL = &a, &b
	}
	want.Log, got.Log = nil, nil
	require.Equal(t, want, got)
}

var whole = engine.Config{
	StateDir: "/var/lib/fx", Guarantee: engine.AtLeastOnce, CommitInterval: 500 * time.Millisecond,
	CommitBytes: 16 << 20, CheckpointInterval: time.Minute, CheckpointBytes: 64_000_000, Memory: 1 << 30,
	MaxAhead: engine.NoBound, EveryUpdate: true, StartTimeout: time.Minute, ReadyTimeout: engine.NoBound,
	MaxLag: math.MaxInt64, StatusAddr: "8080", Brokers: []string{"kafka-1:9093", "kafka-2:9093"}, ClientID: "pod-${7}",
	SessionTimeout: 10 * time.Second, Client: kafka.Client{DialTimeout: 5 * time.Second,
		RequestTimeout: 20 * time.Second, IdleTimeout: 4 * time.Minute, MetadataMaxAge: time.Minute,
		Compression: kafka.Zstd, BatchBytes: 4 << 20},
	Security: kafka.Security{TLS: &kafka.TLS{}, SASL: &kafka.SASL{Mechanism: kafka.ScramSHA512, User: "fx",
		Password: kafka.NewSecret(password)}},
	Replication: 2,
	Topics: engine.Topics{WithoutCreation: true, Settings: map[string]string{"min.insync.replicas": "2"},
		Of: map[string]engine.TopicSettings{
			"rates_1min_final": {Partitions: 6, Replication: 3,
				Settings: map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "604800000"}}}},
	Tables: engine.Tables{Memory: 256 << 20, Default: engine.TableSettings{Cache: 32 << 20, Retention: engine.NoBound},
		Of: map[string]engine.TableSettings{
			"rates/window_1min": {Cache: 64 << 20, Compression: engine.CompressionOff, Retention: 24 * time.Hour}}},
}

var environ = []string{"KAFKA=kafka", "FX_PASSWORD=" + password}

// The same configuration as YAML and as JSON, indented with tabs.
func TestLoad(t *testing.T) {
	got, err := config.Load("testdata/good.yaml", config.Options{Plan: fx(t), Environ: environ, Output: io.Discard})
	require.NoError(t, err)
	sameConfig(t, whole, got)
	_, err = engine.New(fx(t), engine.Config{Brokers: got.Brokers, Security: got.Security, Client: got.Client,
		Topics: got.Topics, Tables: got.Tables})
	require.NoError(t, err)

	text, err := os.ReadFile("testdata/good.yaml")
	require.NoError(t, err)
	var any map[string]any
	require.NoError(t, yaml.Unmarshal(text, &any))
	asJSON, err := json.MarshalIndent(any, "", "\t")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "good.json")
	require.NoError(t, os.WriteFile(file, asJSON, 0o600))
	got, err = config.Load(file, config.Options{Environ: environ, Output: io.Discard})
	require.NoError(t, err)
	sameConfig(t, whole, got)
}

// The environment alone is enough, and it is stronger than a file.
func TestEnvironment(t *testing.T) {
	variables := append(environ, "ASHI_MESSAGING_BROKERS=a:1, b:2", "ASHI_MESSAGING_SASL_MECHANISM=PLAIN",
		"ASHI_MESSAGING_SASL_USER=other", "ASHI_MESSAGING_SASL_PASSWORD="+password,
		"ASHI_MESSAGING_TLS_INSECURE_BECAUSE=a test", "ASHI_CORE_READY_TIMEOUT=none",
		"ASHI_TABLES_DEFAULT_COMPRESSION=false", "ASHI_TOPICS_CREATE=true", "ASHI_CORE_STATE_DIR=")
	got, err := config.Load("", config.Options{Environ: variables, Output: io.Discard})
	require.NoError(t, err)
	sameConfig(t, engine.Config{Brokers: []string{"a:1", "b:2"}, ReadyTimeout: engine.NoBound,
		Topics: engine.Topics{Of: map[string]engine.TopicSettings{}},
		Tables: engine.Tables{Default: engine.TableSettings{Compression: engine.CompressionOff},
			Of: map[string]engine.TableSettings{}}, Security: kafka.Security{TLS: &kafka.TLS{InsecureBecause: "a test"},
			SASL: &kafka.SASL{Mechanism: kafka.Plain, User: "other", Password: kafka.NewSecret(password)}}}, got)

	got, err = config.Load("testdata/good.yaml", config.Options{Environ: variables, Output: io.Discard})
	require.NoError(t, err)
	want := whole
	want.Brokers, want.Security = []string{"a:1", "b:2"}, kafka.Security{TLS: &kafka.TLS{InsecureBecause: "a test"},
		SASL: &kafka.SASL{Mechanism: kafka.Plain, User: "other", Password: kafka.NewSecret(password)}}
	want.Tables.Default.Compression, want.Topics.WithoutCreation = engine.CompressionOff, false
	sameConfig(t, want, got)
}

func TestRelaxed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "fx.yaml")
	require.NoError(t, os.WriteFile(file, []byte("messaging: {brokers: [k:9092]}\ncore: {comitInterval: 5s}\n"), 0o600))
	var out bytes.Buffer
	_, err := config.Load(file, config.Options{Environ: []string{}, Output: &out})
	require.ErrorContains(t, err, "did you mean commitInterval?")
	_, err = config.Load(file, config.Options{Environ: []string{"ASHI_VALIDATION=relaxed"}, Output: &out})
	require.NoError(t, err)
	require.Contains(t, out.String(), "did you mean commitInterval?")
}

// Lines have the level of their component, whether it is named by the logger or by the line
// (LOG-1).
func TestLogLevels(t *testing.T) {
	var out bytes.Buffer
	cfg, err := config.Load("", config.Options{Output: &out, Environ: []string{"ASHI_MESSAGING_BROKERS=a:1",
		"ASHI_LOG_CORE=warn", "ASHI_LOG_MESSAGING=error", "ASHI_LOG_SERIALIZATION=debug"}})
	require.NoError(t, err)
	messaging := cfg.Log.With("component", "messaging")
	for i, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		cfg.Log.Log(t.Context(), level, fmt.Sprint("core", i))
		messaging.With("x", 1).WithGroup("g").Log(t.Context(), level, fmt.Sprint("messaging", i))
		cfg.Log.With("y", 2).Log(t.Context(), level, fmt.Sprint("serialization", i), "component", "serialization")
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		_, msg, _ := strings.Cut(line, "msg=")
		got = append(got, strings.Fields(msg)[0])
	}
	require.Equal(t, []string{"serialization0", "serialization1", "core2", "serialization2", "core3", "messaging3",
		"serialization3"}, got)
	require.False(t, messaging.Enabled(context.Background(), slog.LevelWarn), "what is dropped is not made")
}

// Neither a configuration nor its errors print secrets; see also the golden files.
func TestSecretsStaySecret(t *testing.T) {
	cfg, err := config.Load("testdata/good.yaml", config.Options{Environ: environ, Output: io.Discard})
	require.NoError(t, err)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", cfg, cfg.Security, *cfg.Security.SASL), password)

	file := filepath.Join(t.TempDir(), "fx.yaml")
	for _, line := range []string{"password: [" + password + "]", "password: {a: " + password + "}",
		"mechanism: ${FX_PASSWORD}", "pasword: " + password, "tokenFile: ${FX_PASSWORD}"} {
		text := "messaging:\n  brokers: [k:9092]\n  compression: ${FX_PASSWORD}\n  sasl:\n    user: u\n    " + line +
			"\n"
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		_, err := config.Load(file, config.Options{Environ: environ, Output: io.Discard})
		var all *config.Error
		require.True(t, errors.As(err, &all))
		require.NotContains(t, err.Error(), password)
	}
}
