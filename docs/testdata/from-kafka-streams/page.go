// Package fromkafkastreams has what docs/from-kafka-streams.md takes for granted.
package fromkafkastreams

import (
	"context"
	"time"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/topology"
)

type Shipment struct {
	ID string    `ashi:"id,key"`
	At time.Time `ashi:"at,timestamp"`
}

var (
	ctx       context.Context
	plan      *topology.Plan
	orders    *dsl.StreamOf[Order]
	shipments *dsl.StreamOf[Shipment]
)

// Declare declares what the blocks begin with.
func Declare(b *dsl.Builder) {
	orders, shipments = dsl.Stream[Order](b, "orders"), dsl.Stream[Shipment](b, "shipments")
}
