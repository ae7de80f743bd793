package kafka

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// franz-go joins the group while its client is being made, and may have an assignment before
// newMember has the client.
func TestCallbacksWaitForTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &member{group: &Group{gc: GroupConfig{Subs: []SubTopology{{Name: "rates", Topics: []string{"rates"}}}}},
			made: make(chan struct{}), fatal: make(chan error, 1)}
		told := make(chan string, 2)
		go func() {
			m.onOver(nil, (*tenure).giveBack)
			told <- "revoked"
		}()
		synctest.Wait()
		require.Empty(t, told)
		close(m.made)
		require.Equal(t, "revoked", <-told)
	})
}
