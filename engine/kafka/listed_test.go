package kafka_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

// A producer's first transaction is committed however slow franz-go is to note down the partitions
// that it has sent the records to (Producer.list).
func TestFirstTransactionIsCommitted(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topic(t, "log", 1)
	p := writer(t, c, c.Name("first"))
	defer p.Close()
	for n := range 2 {
		p.Produce(t.Context(), &task.Output{Topic: topic, Value: []byte{byte(n)}})
		require.NoError(t, p.Commit(t.Context()))
	}
	var until map[int32]int64
	require.Eventually(t, func() bool { // its marker may take a moment
		var err error
		until, err = c.Admin().Ends(t.Context(), topic, true)
		require.NoError(t, err)
		return until[0] == 4
	}, patience, time.Millisecond)
	var got []byte
	require.NoError(t, kafka.Follow(t.Context(), c.Config(), kafka.FollowConfig{Topic: topic,
		From: map[int32]int64{0: kafka.Oldest}, Until: until, Apply: func(_ int32, records []task.Record,
			_ int64) error {
			for _, r := range records {
				got = append(got, r.Value...)
			}
			return nil
		}}))
	require.Equal(t, []byte{0, 1}, got)
}

// The same with a franz-go that pauses at the very place, where by itself it does so once in many
// thousand openings.
func TestFirstTransactionWhereTheClientPauses(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a franz-go of its own, which takes some ten seconds")
	}
	const place, imports = "\t\t\tcl.doPartition(l, lv, pr)\n\t\t}\n", "import (\n"
	dir, module := t.TempDir(), filepath.Dir(goCommand(t, "env", "GOMOD"))
	require.NoError(t, os.CopyFS(filepath.Join(dir, "franz-go"),
		os.DirFS(goCommand(t, "list", "-m", "-f", "{{.Dir}}", "github.com/twmb/franz-go"))))
	file := filepath.Join(dir, "franz-go", "pkg", "kgo", "topics_and_partitions.go")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(text), place),
		"franz-go is another: look whether it notes partitions down before it sends, then Producer.list and this can go")
	paused := strings.NewReplacer(place, place+"\t\ttime.Sleep(50 * time.Millisecond)\n", imports,
		imports+"\t\"time\"\n").Replace(string(text))
	require.NoError(t, os.Chmod(file, 0o600))
	require.NoError(t, os.WriteFile(file, []byte(paused), 0o600))
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(module, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	modfile := "-modfile=" + filepath.Join(dir, "go.mod")
	goCommand(t, "mod", "edit", "-replace=github.com/twmb/franz-go="+filepath.Join(dir, "franz-go"),
		filepath.Join(dir, "go.mod"))
	goCommand(t, "test", modfile, "-vet=off", "-count=1", "-run=^TestFirstTransactionIsCommitted$", ".")
}

// goCommand is what a command of go prints.
func goCommand(t *testing.T, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	c := exec.CommandContext(t.Context(), "go", args...)
	c.Stderr = &stderr
	out, err := c.Output()
	require.NoError(t, err, "go %s: %s%s", strings.Join(args, " "), out, &stderr)
	return strings.TrimSpace(string(out))
}
