package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/embedded"
)

// Price is a table by pair.
type Price struct {
	_    struct{} `ashi:"topic=prices,table"`
	Pair string   `ashi:"pair,key"`
	Bid  float64  `ashi:"bid"`
}

// withPrices runs a plan of one table on a broker inside the process while f does.
func withPrices(f func(context.Context, *engine.Engine, *dsl.TableOf[string, Price]) error) {
	err := func() error {
		broker, err := embedded.Start(embedded.Config{Topics: map[string]int32{"prices": 2}})
		if err != nil {
			return err
		}
		defer broker.Close()
		b := dsl.New("prices-example")
		b.DeadLetters("letters")
		prices := dsl.Table[string, Price](b)
		prices.To("copies")
		plan, err := b.Build()
		if err != nil {
			return err
		}
		e, err := engine.New(plan, engine.Config{Brokers: broker.Addrs(), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		err = errors.Join(e.WaitReady(ctx), f(ctx, e, prices))
		cancel()
		return errors.Join(err, <-done)
	}()
	if err != nil {
		fmt.Println(err)
	}
}

// Rows are added to Kafka, and come back to the tables of every process from there; AddAndWait
// waits for this process's.
func ExampleAddAndWait() {
	withPrices(func(ctx context.Context, e *engine.Engine, prices *dsl.TableOf[string, Price]) error {
		if err := engine.AddAndWait(ctx, e, prices, Price{Pair: "EUR/USD", Bid: 1.1},
			Price{Pair: "GBP/USD", Bid: 1.3}); err != nil {
			return err
		}
		table, err := engine.Table(e, prices)
		if err != nil {
			return err
		}
		one, ok, err := table.Get(ctx, "EUR/USD")
		fmt.Println(one.Bid, ok)
		return err
	})
	// Output: 1.1 true
}

// A table as a list, and as a loop. Add returns when the broker has the row; WaitApplied makes sure
// that the table has it too.
func ExampleTable() {
	withPrices(func(ctx context.Context, e *engine.Engine, prices *dsl.TableOf[string, Price]) error {
		for i, pair := range []string{"EUR/USD", "EUR/CHF", "GBP/USD"} {
			if err := engine.Add(ctx, e, prices, Price{Pair: pair, Bid: float64(i)}); err != nil {
				return err
			}
		}
		if err := engine.WaitApplied(ctx, e, prices); err != nil {
			return err
		}
		table, err := engine.Table(e, prices)
		if err != nil {
			return err
		}
		all, err := table.ToList(ctx)
		fmt.Println(len(all), err)
		for p, err := range table.Prefix(ctx, []byte("EUR")) {
			if err != nil {
				return err
			}
			fmt.Println(p.Pair, p.Bid)
		}
		return nil
	})
	// Output:
	// 3 <nil>
	// EUR/CHF 1
	// EUR/USD 0
}

// A loop over what is written to a topic: it waits for more until it is left, or ctx ends.
func ExampleRows() {
	withPrices(func(ctx context.Context, e *engine.Engine, prices *dsl.TableOf[string, Price]) error {
		if err := engine.Add(ctx, e, prices, Price{Pair: "EUR/USD", Bid: 1.1},
			Price{Pair: "EUR/USD", Bid: 1.2}); err != nil {
			return err
		}
		n := 0
		for p, err := range engine.Rows(ctx, e, prices) {
			if err != nil {
				return err
			}
			fmt.Println(p.Pair, p.Bid)
			if n++; n == 2 {
				break
			}
		}
		return nil
	})
	// Output:
	// EUR/USD 1.1
	// EUR/USD 1.2
}

// A handler gets what is written to a topic, until it fails or ctx ends. What it cannot use it may
// send to the dead letters.
func ExampleForEach() {
	withPrices(func(ctx context.Context, e *engine.Engine, prices *dsl.TableOf[string, Price]) error {
		if err := engine.Add(ctx, e, prices, Price{Pair: "EUR/USD", Bid: -1}); err != nil {
			return err
		}
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		err := engine.ForEach(ctx, e, prices, func(p Price) error {
			fmt.Println(p.Pair, "goes to", e.DeadLetters())
			stop()
			return engine.SendDead(context.WithoutCancel(ctx), e, engine.Letter{Topic: prices.Topic(),
				Key: []byte(p.Pair), Offset: -1}, "no price")
		})
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	})
	// Output: EUR/USD goes to letters
}
