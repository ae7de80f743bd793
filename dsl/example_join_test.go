package dsl_test

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
)

type Order struct {
	ID   string    `ashi:"id,key"`
	Item string    `ashi:"item"`
	At   time.Time `ashi:"at,timestamp"`
}

type Payment struct {
	Order  string    `ashi:"order,key"`
	Amount float64   `ashi:"amount"`
	At     time.Time `ashi:"at,timestamp"`
}

// Paid is what becomes of an order: without a payment Amount is nil, and without an order Item.
type Paid struct {
	Order  string   `ashi:"order,key"`
	Item   *string  `ashi:"item"`
	Amount *float64 `ashi:"amount"`
}

func paid(o *Order, p *Payment) (Paid, error) {
	var row Paid
	if o != nil {
		row.Order, row.Item = o.ID, &o.Item
	}
	if p != nil {
		row.Order, row.Amount = p.Order, &p.Amount
	}
	return row, nil
}

func second(n float64) time.Time { return noon.Add(time.Duration(n * float64(time.Second))) }

// runOrders runs a join of orders and payments over a few of them, and prints what comes out.
func runOrders(join func(*dsl.StreamOf[Order], *dsl.StreamOf[Payment]) *dsl.StreamOf[Paid]) {
	b := dsl.New("shop")
	orders, payments := dsl.Stream[Order](b, "orders"), dsl.Stream[Payment](b, "payments")
	join(orders, payments).To("paid")
	plan, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	d := enginetest.New(example{}, plan)
	enginetest.Add(d, orders, Order{"A", "tea", second(0)}, Order{"B", "cup", second(1)})
	enginetest.Add(d, payments, Payment{"A", 3, second(4)}, Payment{"C", 9, second(5)}, Payment{"A", 1, second(11)})
	enginetest.Add(d, orders, Order{"Z", "", second(60)})
	printTopic(d, "paid")
}

// Orders with the payments that come within ten seconds after them. A second payment that comes too
// late is not joined.
func ExampleJoin() {
	runOrders(func(orders *dsl.StreamOf[Order], payments *dsl.StreamOf[Payment]) *dsl.StreamOf[Paid] {
		return dsl.Join(orders, payments, dsl.Within(0, 10*time.Second), paid)
	})
	// Output:
	// 12:00:04 A {"order":"A","item":"tea","amount":3}
}

// Orders that are not paid go out too, when their ten seconds and grace are over.
func ExampleLeftJoin() {
	runOrders(func(orders *dsl.StreamOf[Order], payments *dsl.StreamOf[Payment]) *dsl.StreamOf[Paid] {
		return dsl.LeftJoin(orders, payments, dsl.Within(0, 10*time.Second), paid)
	})
	// Output:
	// 12:00:04 A {"order":"A","item":"tea","amount":3}
	// 12:00:01 B {"order":"B","item":"cup","amount":null}
}

// Payments without an order go out too.
func ExampleRightJoin() {
	runOrders(func(orders *dsl.StreamOf[Order], payments *dsl.StreamOf[Payment]) *dsl.StreamOf[Paid] {
		return dsl.RightJoin(orders, payments, dsl.Within(0, 10*time.Second).Grace(time.Second), paid)
	})
	// Output:
	// 12:00:04 A {"order":"A","item":"tea","amount":3}
	// 12:00:05 C {"order":"C","item":null,"amount":9}
	// 12:00:11 A {"order":"A","item":null,"amount":1}
}

// Both. An order may be paid for ten seconds, a payment is never before its order: so it waits for
// grace only.
func ExampleOuterJoin() {
	runOrders(func(orders *dsl.StreamOf[Order], payments *dsl.StreamOf[Payment]) *dsl.StreamOf[Paid] {
		return dsl.OuterJoin(orders, payments, dsl.Within(0, 10*time.Second).Grace(time.Second), paid)
	})
	// Output:
	// 12:00:04 A {"order":"A","item":"tea","amount":3}
	// 12:00:05 C {"order":"C","item":null,"amount":9}
	// 12:00:01 B {"order":"B","item":"cup","amount":null}
	// 12:00:11 A {"order":"A","item":null,"amount":1}
}

type Trade struct {
	Pair  string    `ashi:"pair,key"`
	Price float64   `ashi:"price"`
	At    time.Time `ashi:"at,timestamp"`
}

// Fill is a trade with the mid price of its time.
type Fill struct {
	Pair  string  `ashi:"pair,key"`
	Price float64 `ashi:"price"`
	Mid   float64 `ashi:"mid"`
}

func fill(t *Trade, q *Rate) (Fill, error) {
	f := Fill{Pair: t.Pair, Price: t.Price}
	if q != nil {
		f.Mid = (q.Bid + q.Ask) / 2
	}
	return f, nil
}

func runTrades(join func(*dsl.StreamOf[Trade], *dsl.StreamOf[Rate]) *dsl.StreamOf[Fill]) {
	b := dsl.New("market")
	trades, quotes := dsl.Stream[Trade](b, "trades"), dsl.Stream[Rate](b, "quotes")
	join(trades, quotes).As("fills").To("fills")
	plan, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	d := enginetest.New(example{}, plan)
	enginetest.Add(d, quotes, Rate{"EUR/USD", 1, 2, second(0)}, Rate{"EUR/USD", 2, 3, second(2)})
	enginetest.Add(d, trades, Trade{"EUR/USD", 1.5, second(1.5)}, Trade{"EUR/USD", 2.5, second(2)})
	enginetest.Add(d, quotes, Rate{"EUR/USD", 3, 4, second(1)}) // late, but within grace
	enginetest.Add(d, trades, Trade{"EUR/USD", 4, second(9)}, Trade{"EUR/USD", 4, second(20)})
	printTopic(d, "fills")
}

// Each trade with the quote that was in force, at most five seconds old. The trade at 9 s finds
// none.
func ExampleAsOf() {
	runTrades(func(trades *dsl.StreamOf[Trade], quotes *dsl.StreamOf[Rate]) *dsl.StreamOf[Fill] {
		return dsl.AsOf(trades, quotes, dsl.Back(5*time.Second).Grace(time.Second), fill)
	})
	// Output:
	// 12:00:01 EUR/USD {"pair":"EUR/USD","price":1.5,"mid":3.5}
	// 12:00:02 EUR/USD {"pair":"EUR/USD","price":2.5,"mid":2.5}
}

// The same, with the trades that find none.
func ExampleLeftAsOf() {
	runTrades(func(trades *dsl.StreamOf[Trade], quotes *dsl.StreamOf[Rate]) *dsl.StreamOf[Fill] {
		return dsl.LeftAsOf(trades, quotes, dsl.Back(5*time.Second).Grace(time.Second), fill)
	})
	// Output:
	// 12:00:01 EUR/USD {"pair":"EUR/USD","price":1.5,"mid":3.5}
	// 12:00:02 EUR/USD {"pair":"EUR/USD","price":2.5,"mid":2.5}
	// 12:00:09 EUR/USD {"pair":"EUR/USD","price":4,"mid":0}
}

func printTopic(d *enginetest.Driver, topic string) {
	for _, r := range d.ReadRaw(topic) {
		fmt.Printf("%s %s %s\n", r.Timestamp.Std().Format(time.TimeOnly), r.Key, r.Value)
	}
}

// example lets a driver run outside of a test.
type example struct{ testing.TB }

func (example) Helper()                           {}
func (example) Cleanup(func())                    {}
func (example) Output() io.Writer                 { return io.Discard }
func (example) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
