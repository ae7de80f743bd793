package entity_test

import (
	"fmt"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/ashi-stream/ashi/dsl/entity"
)

// Rate is what an entity looks like.
type Rate struct {
	_     struct{}    `ashi:"topic=rates,table"`
	Venue int32       `ashi:"venue,key=2"`
	Pair  string      `ashi:"pair,key=1,maxlen=7"`
	Bid   apd.Decimal `ashi:"bid,precision=12,scale=5"`
	Desk  string      `ashi:"desk,default=spot"`
	At    time.Time   `ashi:"at,timestamp,format=ms"`
	Seen  bool        `ashi:"-"`
}

// The model says what the tags of a type say, and works on its rows.
func ExampleFor() {
	m, errs := entity.For[Rate]()
	if len(errs) > 0 {
		fmt.Println(errs)
		return
	}
	fmt.Println(m.Kind, m.Topic)
	for _, i := range m.Key {
		fmt.Println("key column", m.Columns[i].Name)
	}
	row := Rate{Pair: "EUR/USD", Venue: 3, At: time.UnixMilli(1700000000000)}
	key, _ := m.AppendKey(nil, &row)
	at, _ := m.EventTime(&row)
	fmt.Println(string(key), at)
	desk, _ := m.Column("desk")
	value, _ := desk.Default()
	fmt.Println("desk is", value)
	// Output:
	// table rates
	// key column pair
	// key column venue
	// {"pair":"EUR/USD","venue":3} 2023-11-14T22:13:20.000Z
	// desk is spot
}

// Every mistake is told at once, with its place and what was probably meant.
func ExampleFor_mistakes() {
	type quote struct {
		Pair string `ashi:"pair,kye"`
		Bid  string `ashi:"bid,precision=5"`
	}
	_, errs := entity.For[quote]()
	for _, err := range errs {
		fmt.Println(err)
	}
	// Output:
	// entity: entity_test.quote.Pair: unknown option "kye"; did you mean "key"?
	// entity: entity_test.quote.Bid: precision on a string; only an apd.Decimal has one
}

// The same type may have another key in another topic.
func ExampleModel_WithKey() {
	m, _ := entity.For[Rate]()
	byVenue, err := m.WithKey("venue", "pair")
	if err != nil {
		fmt.Println(err)
		return
	}
	key, _ := byVenue.AppendKey(nil, &Rate{Pair: "EUR/USD", Venue: 3})
	fmt.Println(string(key))
	// Output: {"venue":3,"pair":"EUR/USD"}
}
