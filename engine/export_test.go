package engine

import "github.com/ashi-stream/ashi/stores"

// OpenStores lets a test open the stores of the tasks, before Run.
func OpenStores(e *Engine, open func(changelog string, partition int32, empty bool) (stores.Store, error)) {
	e.state.opened = open
}
