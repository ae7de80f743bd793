package engine

import (
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/stores"
)

// OpenStores lets a test open the stores of the tasks, before Run.
func OpenStores(e *Engine, open func(changelog string, partition int32, empty bool) (stores.Store, error)) {
	e.state.opened = open
}

// Connection lets a test change how often brokers are asked, before Run.
func Connection(e *Engine) *kafka.Config { return &e.kafka }
