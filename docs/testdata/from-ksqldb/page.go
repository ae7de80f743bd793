// Package fromksqldb has what docs/from-ksqldb.md takes for granted.
package fromksqldb

import (
	"context"
	"time"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
)

type Shipment struct {
	ID string    `ashi:"id,key"`
	At time.Time `ashi:"at,timestamp"`
}

type Invoice struct {
	ID       string `ashi:"id,key"`
	Customer int64
	Amount   float64
}

type hourly struct {
	Customer int64 `ashi:"customer,key"`
	Orders   int64
}

var (
	ctx       context.Context
	eng       *engine.Engine
	monday    time.Time
	orders    *dsl.StreamOf[Order]
	shipments *dsl.StreamOf[Shipment]
	customers *dsl.TableOf[int64, Customer]
	invoices  *dsl.TableOf[string, Invoice]
	sales     *dsl.OutputOf[int64, hourly]
)

// Declare declares what the blocks begin with.
func Declare(b *dsl.Builder) {
	orders, shipments = dsl.Stream[Order](b, "orders"), dsl.Stream[Shipment](b, "shipments")
	customers, invoices = dsl.Table[int64, Customer](b, "customers"), dsl.Table[string, Invoice](b, "invoices")
}
