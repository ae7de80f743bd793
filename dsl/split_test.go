package dsl_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
)

// Each order goes one way: the first that takes it.
func ExampleStreamOf_Split() {
	b := dsl.New("shop")
	orders := dsl.Stream[order](b, "orders")
	branches := orders.Split(
		func(o *order) (bool, error) { return o.Amount >= 100, nil },
		func(o *order) (bool, error) { return o.Amount >= 10, nil })
	branches[0].To("large")
	branches[1].To("medium")
	branches[2].To("small")
	plan, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(plan.Describe())
	// Output:
	// application shop
	// sub-topology orders
	//   source orders <- topic orders (dsl_test.order, json)
	//     split orders-split
	//       branch orders-split-branch (dsl_test.order)
	//         sink to-large -> topic large (dsl_test.order, json)
	//       branch orders-split-branch-2 (dsl_test.order)
	//         sink to-medium -> topic medium (dsl_test.order, json)
	//       branch orders-split-branch-3 (dsl_test.order)
	//         sink to-small -> topic small (dsl_test.order, json)
}

func TestSplit(t *testing.T) {
	b := dsl.New("shop")
	orders := dsl.Stream[order](b, "orders")
	branches := orders.Split(
		func(o *order) (bool, error) {
			if o.Amount < 0 {
				return true, errors.New("negative")
			}
			return o.Amount >= 100, nil
		},
		func(o *order) (bool, error) {
			if o.Amount == 13 {
				panic("13")
			}
			return o.Amount >= 10, nil
		})
	for i, s := range branches {
		s.To(fmt.Sprint("out", i))
	}
	plan, err := b.Build()
	require.NoError(t, err)
	d := enginetest.New(t, plan)
	for _, amount := range []float64{500, 50, 5, -1, 13, 100, 10} {
		enginetest.Add(d, orders, order{"1", "ann", amount, noon})
	}
	for i, want := range []int{2, 2, 1} {
		require.Len(t, d.ReadRaw(fmt.Sprint("out", i)), want)
	}
	require.EqualValues(t, 2, d.Dropped("failed"), "a condition that fails, and one that panics")
}
