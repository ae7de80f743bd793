package codecs_test

import (
	"fmt"
	"time"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
)

// A codec is given to a source or a sink with Codec; without one values are JSON.
func Example() {
	type Rate struct {
		Pair string    `ashi:"pair,key"`
		Bid  float64   `ashi:"bid"`
		At   time.Time `ashi:"at,timestamp,format=ms"`
	}
	b := dsl.New("app")
	rates := dsl.Stream[Rate](b, "rates").Codec(codecs.Fixed[Rate]())
	rates.To("rates_json")
	_, err := b.Build()
	fmt.Println(err)

	value, err := codecs.JSON[Rate]().Encode(nil, &Rate{"EUR/USD", 1.1, time.UnixMilli(1764547200000)})
	fmt.Println(string(value), err)
	// Output:
	// <nil>
	// {"pair":"EUR/USD","bid":1.1,"at":1764547200000} <nil>
}

// Strict, which is the default, refuses what does not fit; relaxed cuts it, and counts.
func ExampleAdjuster() {
	type strict struct {
		Note string `ashi:"note,maxlen=5"`
	}
	type relaxed struct {
		_    struct{} `ashi:"relaxed"`
		Note string   `ashi:"note,maxlen=5"`
	}
	_, err := codecs.JSON[strict]().Encode(nil, &strict{"too long"})
	fmt.Println(err)

	codec := codecs.JSON[relaxed]()
	value, err := codec.Encode(nil, &relaxed{Note: "too long"})
	fmt.Println(string(value), err, codec.Adjusted())
	// Output:
	// codecs: json *codecs_test.strict: column "note" has 8 characters, at most 5 are allowed
	// {"note":"too l"} <nil> map[note:1]
}
