package kafka

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A commit of offsets that is given up, and done after the next one all the same, does not stand
// for ever: seed 11702371082971248712 of the simulation.
func TestCommitOfOffsetsThatIsOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // guards group
		group := map[string]map[int32]int64{}
		known := func() int64 {
			mu.Lock()
			defer mu.Unlock()
			return group["a"][0]
		}
		first := true
		commit := func(ctx context.Context, positions map[string]map[int32]int64) error {
			done := func() {
				mu.Lock()
				defer mu.Unlock()
				for topic, of := range positions {
					for p, at := range of {
						set(group, topic, p, at)
					}
				}
			}
			if !first {
				done()
				return nil
			}
			first = false
			time.AfterFunc(time.Minute, done) // it is on its way
			time.Sleep(closeTimeout)          // of the bubble
			return errors.New("no answer")
		}
		k := newMarks(commit)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			k.run(ctx, slog.New(slog.DiscardHandler))
		}()
		k.mark("a", 0, 5)
		time.Sleep(2 * time.Second) // of the bubble
		synctest.Wait()
		k.mark("a", 0, 9)
		time.Sleep(30 * time.Second) // of the bubble
		synctest.Wait()
		require.Equal(t, int64(9), known())
		time.Sleep(time.Minute) // of the bubble
		synctest.Wait()
		require.Equal(t, int64(5), known(), "the older commit has come")
		time.Sleep(commitAgain) // of the bubble
		synctest.Wait()
		require.Equal(t, int64(9), known())
		cancel()
		<-ended
	})
}
