package dsl_test

import (
	"fmt"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/windows"
)

// A plan of bars of one and of fifteen minutes, final ones only.
func Example() {
	b := dsl.New("fx")
	rates := dsl.Stream[Rate](b, "rates")
	bars := dsl.Aggregate(
		dsl.GroupByKey[string](rates),
		windows.Minutes(1, 15),
		func(g dsl.Group[string, Rate]) Bar {
			bid := func(r *Rate) float64 { return r.Bid }
			return Bar{Pair: g.Key(), Start: g.WindowStart(), High: aggregates.Max(g, bid), Low: aggregates.Min(g, bid)}
		})
	bars.Final()
	plan, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(plan.Describe())
	// Output:
	// application fx
	// sub-topology rates
	//   source rates <- topic rates (dsl_test.Rate, json)
	//     aggregate rates-aggregate (dsl_test.Bar) by string
	//       windows tumbling 1min, tumbling 15min; grace 3s
	//       accumulators max float,min float
	//       final 1min: sink to-rates_1min_final -> topic rates_1min_final (dsl_test.Bar, json) compacted
	//       final 15min: sink to-rates_15min_final -> topic rates_15min_final (dsl_test.Bar, json) compacted
	// table rates/window_1min <- topic rates_1min_final (dsl_test.Bar)
	// table rates/window_15min <- topic rates_15min_final (dsl_test.Bar)
}

// Every mistake is reported, each with the place of the call that made it.
func ExampleBuilder_Build() {
	b := dsl.New("fx")
	type keyless struct{ Bid float64 }
	dsl.Table[string, keyless](b, "quotes")
	rates := dsl.Stream[Rate](b, "rates")
	dsl.Aggregate(dsl.GroupByKey[string](rates), windows.Minutes(0), bar).Final()
	_, err := b.Build()
	fmt.Println(err)
	// Output:
	// dsl: plan "fx" cannot be built:
	// example_test.go:46: table "quotes": dsl_test.keyless has no key column: a table must have a key (tag a field with `ashi:"name,key"`, or call Key)
	// example_test.go:48: aggregate "rates-aggregate": windows: size 0s: must be more than 0
}
