// Command trades joins each trade with the quote that was in force when it was made, and sums up
// per minute what trading cost: the spread, and the slippage, which is how much worse than the
// quoted price a trade was.
//
//	go run ./examples/trades
//
// Quotes and trades are made up, the same ones in every run, and sent to a broker inside the
// process.
//
//	plan.go     the plan: an as-of join, windows of a minute
//	market.go   quotes and trades
//	main.go     the engine's life, and the table that it prints
package main
