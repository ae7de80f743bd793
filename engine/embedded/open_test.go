package embedded_test

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/embedded"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
)

// A producer lives on with an open transaction while its broker ends and starts again. What the
// producer commits then is visible, or the commit is an error: after a commit that was acknowledged
// nothing may be lost.
func TestTransactionOutlivesItsBroker(t *testing.T) {
	t.Run("closed", func(t *testing.T) {
		dir := t.TempDir()
		broker, err := embedded.Start(embedded.Config{Dir: dir, Topics: map[string]int32{"t": 2}})
		require.NoError(t, err)
		require.NoError(t, outlive(t, dir, broker.Addrs()[0], broker.Close))
	})
	t.Run("killed", func(t *testing.T) {
		dir := t.TempDir()
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childFolder+"="+dir)
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		addr, err := bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err)
		require.ErrorIs(t, outlive(t, dir, strings.TrimSpace(addr), func() {
			require.NoError(t, child.Process.Kill())
			require.Error(t, child.Wait())
		}), task.ErrAborted)
	})
}

// outlive returns what the commit did.
func outlive(t *testing.T, dir, addr string, end func()) error {
	cfg := kafka.Config{Brokers: []string{addr}}
	p, err := kafka.NewProducer(t.Context(), cfg, kafka.ProducerConfig{TransactionalID: "w"})
	require.NoError(t, err)
	defer p.Close()
	p.Produce(t.Context(), &task.Output{Topic: "t", Value: []byte("first")})
	require.NoError(t, p.Commit(t.Context()))
	p.Produce(t.Context(), &task.Output{Topic: "t", Value: []byte("second")})
	admin, err := kafka.NewAdmin(cfg)
	require.NoError(t, err)
	defer admin.Close()
	require.Eventually(t, func() bool {
		ends, err := admin.Ends(t.Context(), "t", false)
		return err == nil && ends[0] == 3 // two records and a marker
	}, time.Minute, time.Millisecond)
	end()
	broker, err := embedded.Start(embedded.Config{Dir: dir, Addr: addr})
	require.NoError(t, err)
	defer broker.Close()
	want := []string{"first"}
	committed := p.Commit(t.Context())
	if committed == nil {
		want = append(want, "second")
	}
	require.Equal(t, want, read(t, cfg, 0), "after a commit that returned %v", committed)
	write(t, cfg, "third") // the id is of use again
	require.Equal(t, append(want, "third"), read(t, cfg, 0))
	return committed
}
