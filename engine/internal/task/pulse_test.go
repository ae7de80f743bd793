package task_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/windows"
)

// waits is what a task waits for that is not the program's code: it must find the pulse at rest, or
// a broker that is away, or a slow disk, would be taken for a function that hangs.
type waits struct {
	stores.Store
	task.Producer
	t     *testing.T
	pulse *task.Pulse
	calls map[string]int
}

func (w *waits) rests(what string) {
	w.calls[what]++
	call, ok := w.pulse.Look(time.Now())
	require.False(w.t, ok, "%s while the task is said to be in %v", what, call)
}

func (w *waits) Write(b *stores.Batch) error {
	w.rests("write")
	return w.Store.Write(b)
}

func (w *waits) Flush() error {
	w.rests("flush")
	return w.Store.Flush()
}

func (w *waits) Produce(ctx context.Context, o *task.Output) {
	w.rests("produce")
	w.Producer.Produce(ctx, o)
}

func (w *waits) Commit(ctx context.Context) error {
	w.rests("commit")
	return w.Producer.Commit(ctx)
}

func (w *waits) Close() error { return w.Store.Close() }

func TestPulseRestsWhileTheTaskWaits(t *testing.T) {
	for name, spec := range map[string]windows.Spec{"tumbling": windows.Minutes(1),
		"hopping": windows.Hopping(2*time.Minute, time.Minute), "session": windows.Session(time.Second),
		"sliding": windows.Sliding(2 * time.Second)} {
		t.Run(name, func(t *testing.T) { pulseRests(t, spec) })
	}
}

func pulseRests(t *testing.T, spec windows.Spec) {
	w := &waits{Store: memory.New(), Producer: &discard{}, t: t, pulse: new(task.Pulse), calls: map[string]int{}}
	cfg := taskConfig(sevenPlan(t, spec), w, w)
	clock := time.UnixMilli(1_700_006_400_000)
	cfg.Pulse, cfg.Now, cfg.CommitEvery = w.pulse, func() time.Time { return clock }, time.Second
	cfg.Memory = 200_000 // rows leave memory, so that they are written before a checkpoint
	cfg.Sound = func(context.Context) error { w.rests("sound"); return nil }
	tk, err := task.New(cfg)
	require.NoError(t, err)
	batches := tickBatches(10)
	for i := range batches {
		require.NoError(t, tk.Process(t.Context(), &batches[i], func() {}))
		clock = clock.Add(2 * time.Second)
		require.NoError(t, tk.Tick(t.Context()))
	}
	clock = clock.Add(24 * time.Hour)
	require.NoError(t, tk.Tick(t.Context()))
	require.NoError(t, tk.Checkpoint())
	for _, what := range []string{"write", "flush", "produce", "commit", "sound"} {
		require.NotZero(t, w.calls[what], what)
	}
}
