package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

func TestConfigFile(t *testing.T) {
	c := kafkatest.Start(t)
	app := c.Name("configured")
	deleteTopics(t, c, app)
	dir := t.TempDir()
	file := filepath.Join(dir, "fx.yaml")
	text := "messaging: {brokers: [" + strings.Join(c.Brokers, ", ") + "]}\ntopics: {of: {" + app +
		"-rates_5min_final: {partitions: 3}}}\n"
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	program(t, 0, "-config", file, "-app", app, "-state", inMemory, "-rate", "50000")
	counts, err := c.Admin().Partitions(t.Context(), app+"-rates_5min_final")
	require.NoError(t, err)
	require.Equal(t, int32(3), counts[app+"-rates_5min_final"])

	require.NoError(t, os.WriteFile(file, []byte(text+"topic: {}\n"), 0o600))
	require.Contains(t, program(t, exitFailed, "-config", file, "-app", app),
		"fx.yaml:3:1: topic: is no key: did you mean topics?")
	require.Contains(t, program(t, exitFlags, "-config", file, "-brokers", "b:1", "-dir", dir),
		"-brokers: leave it out with -config")
}

func TestGrants(t *testing.T) {
	const add = "kafka-acls.sh --bootstrap-server b:1 --command-config admin.properties --add --allow-principal User:NAME "
	lines := strings.Split(strings.TrimSpace(program(t, 0, "-grants", "-brokers", "b:1")), "\n")
	require.Len(t, lines, 20, "a group, the owners of eight topics of results, transactional ids, ten topics")
	require.Contains(t, lines, add+"--operation Create --operation Read --operation Write --topic fx-rates")
	require.Contains(t, lines, add+"--operation Write --transactional-id fx-- --resource-pattern-type prefixed")
	require.Contains(t, program(t, exitFailed, "-grants"), "give -config or -brokers")
}
