package engine

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
)

// Tasks wait for a table until it is ready, not for one of its records; one that is being rebuilt
// ends their session.
func TestAwaitTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &table{store: memory.New(), positions: map[int32]int64{}, seen: map[int32]*atEnd{0: {}},
			changed: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, x.await(ctx), context.Canceled)

		done := make(chan error, 1)
		go func() { done <- x.await(t.Context()) }()
		synctest.Wait()
		x.moved(0, 7)
		synctest.Wait()
		require.Empty(t, done)
		rows := broadcastRows{x}
		_, _, err := rows.Get(nil, stores.AppendTableKey(nil, []byte("k")))
		require.ErrorIs(t, err, ErrNotReady)
		require.ErrorIs(t, err, task.ErrAborted, "the member opens its tasks anew")

		require.True(t, x.becomesReady())
		require.False(t, x.becomesReady())
		require.NoError(t, <-done)
		_, ok, err := rows.Get(nil, stores.AppendTableKey(nil, []byte("k")))
		require.NoError(t, err)
		require.False(t, ok)
		require.NoError(t, x.store.Close())
	})
}
