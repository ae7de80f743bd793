package dsl_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
)

// Purchase has no tags: it was generated, say.
type Purchase struct {
	ID, Customer string
	Cents        int64
}

// What is said in the program outdoes tags, or makes them unnecessary.
func ExampleStreamOf_Key() {
	b := dsl.New("shop")
	orders := dsl.Stream[Purchase](b, "orders").Key("Customer")
	dsl.Map(orders, func(o *Purchase) (Purchase, error) { return *o, nil }).To("copies")
	d := drive(b)
	enginetest.Add(d, orders, Purchase{ID: "1", Customer: "ada", Cents: 500})
	fmt.Printf("%s\n", d.ReadRaw("copies")[0].Key)
	// Output: ada
}

// Topic, model and dead letters of an entity can be looked up.
func ExampleStreamOf_Model() {
	b := dsl.New("shop")
	b.DeadLetters("shop-letters")
	orders := dsl.Stream[Purchase](b, "orders").Key("ID")
	orders.To("copies")
	plan, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	m := orders.Model()
	fmt.Println(orders.Topic(), plan.DeadLetters, m.Columns[m.Key[0]].Name, len(m.Columns))
	// Output: orders shop-letters ID 3
}

// Steps may fail: what becomes of the record is what its policy says.
func ExampleMap() {
	b := dsl.New("shop")
	orders := dsl.Stream[Purchase](b, "orders").Key("ID").OnError(dsl.DeadLetter)
	large := orders.
		Filter(func(o *Purchase) (bool, error) { return o.Cents >= 100, nil }).
		Peek(func(o *Purchase) error {
			if o.Customer == "" {
				return errors.New("no customer")
			}
			return nil
		})
	names := dsl.Map(large, func(o *Purchase) (Purchase, error) {
		return Purchase{ID: o.ID, Customer: strings.ToUpper(o.Customer)}, nil
	})
	dsl.FlatMap(names, func(o *Purchase) ([]Purchase, error) {
		return []Purchase{*o, {ID: o.ID, Customer: "again"}},
			nil
	}).To("out")
	d := drive(b)
	enginetest.Add(d, orders, Purchase{"1", "ada", 500}, Purchase{"2", "bob", 5}, Purchase{"3", "", 500})
	show(d, "out")
	fmt.Println("letter:", d.DeadLetters()[0].Text)
	// Output:
	// {"ID":"1","Customer":"ADA","Cents":0}
	// {"ID":"1","Customer":"again","Cents":0}
	// letter: no customer
}
