package kafka_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/kafka"
)

// A broker that takes connections and never answers is as lost as one that is not there.
func TestWatchOfHangingBroker(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told, ended := make(chan error, 8), make(chan error, 1)
	began := time.Now()
	go func() {
		ended <- kafka.Watch(ctx, kafka.Config{Brokers: []string{l.Addr().String()}}, func(err error) { told <- err },
			nil, nil)
	}()
	err = <-told
	require.ErrorIs(t, err, kafka.ErrUnavailable)
	require.ErrorContains(t, err, l.Addr().String())
	require.Less(t, time.Since(began), 2*time.Second)
	cancel()
	require.NoError(t, <-ended)
	require.Empty(t, told, "it is said once")
}
