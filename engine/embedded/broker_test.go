package embedded_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ashi-stream/ashi/engine/embedded"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
)

const childFolder = "ASHI_EMBEDDED_TEST_DIR"

// TestMain is also the child that is killed: a broker on a folder, until the end.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		broker, err := embedded.Start(embedded.Config{Dir: dir, Topics: map[string]int32{"t": 2}})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(broker.Addrs()[0])
		select {}
	}
	goleak.VerifyTestMain(m)
}

// write commits one value in a transaction.
func write(t *testing.T, cfg kafka.Config, value string) {
	p, err := kafka.NewProducer(t.Context(), cfg, kafka.ProducerConfig{TransactionalID: "w"})
	require.NoError(t, err)
	p.Produce(t.Context(), &task.Output{Topic: "t", Value: []byte(value)})
	require.NoError(t, p.Commit(t.Context()))
	require.NoError(t, p.Close())
}

func read(t *testing.T, cfg kafka.Config, partition int32) (values []string) {
	t.Helper()
	admin, err := kafka.NewAdmin(cfg)
	require.NoError(t, err)
	defer admin.Close()
	ends, err := admin.Ends(t.Context(), "t", true)
	require.NoError(t, err)
	require.NoError(t, kafka.Follow(t.Context(), cfg, kafka.FollowConfig{
		Topic: "t", From: map[int32]int64{partition: kafka.Oldest}, Until: map[int32]int64{partition: ends[partition]},
		Apply: func(_ int32, records []task.Record, _ int64) error {
			for _, r := range records {
				values = append(values, string(r.Value))
			}
			return nil
		},
	}))
	return values
}

func TestBrokerInMemory(t *testing.T) {
	broker, err := embedded.Start(embedded.Config{Topics: map[string]int32{"t": 3}})
	require.NoError(t, err)
	defer broker.Close()
	host, _, err := net.SplitHostPort(broker.Addrs()[0])
	require.NoError(t, err)
	require.True(t, net.ParseIP(host).IsLoopback())
	cfg := kafka.Config{Brokers: broker.Addrs()}
	write(t, cfg, "a")
	require.Equal(t, []string{"a"}, read(t, cfg, 0))
	admin, err := kafka.NewAdmin(cfg)
	require.NoError(t, err)
	defer admin.Close()
	counts, err := admin.Partitions(t.Context(), "t")
	require.NoError(t, err)
	require.Equal(t, int32(3), counts["t"])
}

func TestBrokerGoesOnFromItsFolder(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		broker, err := embedded.Start(embedded.Config{Dir: dir, Topics: map[string]int32{"t": 1}})
		require.NoError(t, err)
		cfg := kafka.Config{Brokers: broker.Addrs()}
		write(t, cfg, fmt.Sprint(i))
		require.Len(t, read(t, cfg, 0), i+1)
		broker.Close()
	}
}

func TestBrokerSurvivesBeingKilled(t *testing.T) {
	dir := t.TempDir()
	var want []string
	for i := range 3 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childFolder+"="+dir)
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		addr, err := bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err)
		cfg := kafka.Config{Brokers: []string{strings.TrimSpace(addr)}}
		want = append(want, fmt.Sprint(i))
		write(t, cfg, want[i])
		require.NoError(t, child.Process.Kill())
		require.Error(t, child.Wait())
	}
	broker, err := embedded.Start(embedded.Config{Dir: dir})
	require.NoError(t, err)
	defer broker.Close()
	require.Equal(t, want, read(t, kafka.Config{Brokers: broker.Addrs()}, 0))
}

func TestVirtualBroker(t *testing.T) {
	broker, err := embedded.Start(embedded.Config{Virtual: true, Topics: map[string]int32{"t": 1}})
	require.NoError(t, err)
	defer broker.Close()
	cfg := kafka.Config{Brokers: broker.Addrs(), Dial: broker.Dial}
	write(t, cfg, "a")
	require.Equal(t, []string{"a"}, read(t, cfg, 0))
}

func TestBadConfig(t *testing.T) {
	for _, c := range []embedded.Config{
		{Addr: "0.0.0.0:0"},
		{Addr: "127.0.0.1"},
		{Addr: "127.0.0.1:x"},
		{Dir: os.Args[0]}, // a file
	} {
		_, err := embedded.Start(c)
		require.Error(t, err, "%+v", c)
	}
}
