package dsl_test

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
)

// inExample is what a driver needs of a test, in an example: there a failure is a panic.
type inExample struct{ testing.TB }

func (inExample) Helper()                   {}
func (inExample) Cleanup(func())            {} // all is in memory
func (inExample) Output() io.Writer         { return io.Discard }
func (inExample) Errorf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
func (inExample) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

// inMemory runs a plan in an example.
func inMemory(b *dsl.Builder) *enginetest.Driver {
	plan, err := b.Build()
	if err != nil {
		panic(err)
	}
	return enginetest.New(inExample{}, plan)
}

// printed prints what was written to a topic since it was last asked for.
func printed(d *enginetest.Driver, topic string) {
	for _, r := range d.ReadRaw(topic) {
		fmt.Printf("%s %s\n", r.Key, r.Value)
	}
}

type Invoice struct {
	ID       string `ashi:"id,key"`
	Customer string `json:"customer"`
	Amount   int64  `json:"amount"`
}

type Customer struct {
	Name string `ashi:"name,key"`
	City string `json:"city"`
}

type Letter struct {
	ID   string `ashi:"id,key"`
	City string `json:"city"`
}

func customerOf(i *Invoice) (string, bool) { return i.Customer, i.Customer != "" }

func letter(i *Invoice, c *Customer) (Letter, error) {
	if c == nil {
		return Letter{i.ID, "nowhere"}, nil
	}
	return Letter{i.ID, c.City}, nil
}

// Invoices by number are joined with customers by name. The result follows changes of both.
func ExampleJoinForeign() {
	b := dsl.New("billing")
	invoices := dsl.Table[string, Invoice](b, "invoices")
	customers := dsl.Table[string, Customer](b, "customers")
	dsl.JoinForeign(invoices, customers, customerOf, letter).To("letters")

	d := inMemory(b)
	enginetest.Add(d, invoices, Invoice{"1", "ann", 5}, Invoice{"2", "bob", 7})
	enginetest.Add(d, customers, Customer{"ann", "Rome"})
	printed(d, "letters")
	fmt.Println("ann moves")
	enginetest.Add(d, customers, Customer{"ann", "Oslo"})
	printed(d, "letters")
	fmt.Println("1 is bob's, who is not known")
	enginetest.Add(d, invoices, Invoice{"1", "bob", 5})
	printed(d, "letters")
	// Output:
	// 1 {"id":"1","city":"Rome"}
	// ann moves
	// 1 {"id":"1","city":"Oslo"}
	// 1 is bob's, who is not known
	// 1
}

// Invoices without a customer are in the result too.
func ExampleLeftJoinForeign() {
	b := dsl.New("billing")
	invoices := dsl.Table[string, Invoice](b, "invoices")
	customers := dsl.Table[string, Customer](b, "customers")
	dsl.LeftJoinForeign(invoices, customers, customerOf, letter).To("letters")

	d := inMemory(b)
	enginetest.Add(d, invoices, Invoice{"1", "ann", 5}, Invoice{"2", "", 7})
	enginetest.Add(d, customers, Customer{"ann", "Rome"})
	d.AddRaw("customers", enginetest.Record{Key: []byte("ann")}) // ann is gone
	printed(d, "letters")
	// Output:
	// 2 {"id":"2","city":"nowhere"}
	// 1 {"id":"1","city":"nowhere"}
	// 1 {"id":"1","city":"Rome"}
	// 1 {"id":"1","city":"nowhere"}
}

// Of each pair one rate a minute.
func ExampleTableOf_Suppress() {
	b := dsl.New("fx")
	rates := dsl.Stream[Rate](b, "rates")
	dsl.ToTable[string](rates).Suppress(time.Minute, 1000).To("calm")

	d := inMemory(b)
	enginetest.Add(d, rates, tick("EUR/USD", 0, 1.25), tick("EUR/USD", 20, 1.5), tick("NZD/USD", 30, 0.75),
		tick("EUR/USD", 59, 1.375), tick("EUR/USD", 60, 1.125), tick("NZD/USD", 90, 0.5))
	for _, r := range d.ReadRaw("calm") {
		fmt.Printf("%s %s\n", r.Key, r.Timestamp.Std().Format(time.TimeOnly))
	}
	// Output:
	// EUR/USD 12:01:00
	// NZD/USD 12:01:30
}

// Invoices are enriched from a table that is in every process, by another key than theirs.
func ExampleJoinBroadcast() {
	b := dsl.New("billing")
	invoices := dsl.Stream[Invoice](b, "invoices")
	customers := dsl.Table[string, Customer](b, "customers")
	dsl.JoinBroadcast(invoices, customers, func(i *Invoice) string { return i.Customer }, letter).To("letters")

	d := inMemory(b)
	enginetest.Add(d, customers, Customer{"ann", "Rome"})
	enginetest.Add(d, invoices, Invoice{"1", "ann", 5}, Invoice{"2", "bob", 7})
	printed(d, "letters")
	// Output: 1 {"id":"1","city":"Rome"}
}

// Rows that the table has nothing for go on too.
func ExampleLeftJoinBroadcast() {
	b := dsl.New("billing")
	invoices := dsl.Stream[Invoice](b, "invoices")
	customers := dsl.Table[string, Customer](b, "customers")
	dsl.LeftJoinBroadcast(invoices, customers, func(i *Invoice) string { return i.Customer }, letter).To("letters")

	d := inMemory(b)
	enginetest.Add(d, customers, Customer{"ann", "Rome"})
	enginetest.Add(d, invoices, Invoice{"1", "ann", 5}, Invoice{"2", "bob", 7})
	printed(d, "letters")
	// Output:
	// 1 {"id":"1","city":"Rome"}
	// 2 {"id":"2","city":"nowhere"}
}

// The cut between the two tables, and what goes over it.
func ExampleJoinForeign_describe() {
	b := dsl.New("billing")
	invoices, customers := dsl.Table[string, Invoice](b, "invoices"), dsl.Table[string, Customer](b, "customers")
	dsl.JoinForeign(invoices, customers, customerOf, letter).To("letters")
	plan, err := b.Build()
	if err != nil {
		panic(err)
	}
	fmt.Print(plan.Describe())
	// Output:
	// application billing
	// sub-topology invoices
	//   source invoices <- topic invoices (dsl_test.Invoice, json)
	//     table invoices-table (dsl_test.Invoice)
	//       input invoices-customers-foreign-input -> invoices-customers-foreign
	//         inner foreign key join invoices-customers-foreign (dsl_test.Letter) of table invoices-table
	//           orders -> topic billing--invoices-customers-foreign-orders
	//           sink to-letters -> topic letters (dsl_test.Letter, json) compacted
	//   source billing--invoices-customers-foreign-answers <- topic billing--invoices-customers-foreign-answers (answers, raw)
	//     input invoices-customers-foreign-input-2 -> invoices-customers-foreign
	// sub-topology customers
	//   source customers <- topic customers (dsl_test.Customer, json)
	//     table customers-table (dsl_test.Customer)
	//       input invoices-customers-foreign-subscriptions-input -> invoices-customers-foreign-subscriptions
	//         subscriptions invoices-customers-foreign-subscriptions to table customers-table
	//           answers -> topic billing--invoices-customers-foreign-answers
	//   source billing--invoices-customers-foreign-orders <- topic billing--invoices-customers-foreign-orders (orders, raw)
	//     input invoices-customers-foreign-subscriptions-input-2 -> invoices-customers-foreign-subscriptions
	// internal topic billing--invoices-customers-foreign-orders
	// internal topic billing--invoices-customers-foreign-answers
	// table invoices/main <- topic invoices (dsl_test.Invoice)
	// table customers/main <- topic customers (dsl_test.Customer)
}
