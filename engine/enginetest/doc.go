// Package enginetest runs a plan inside a test: the engine's own task code, with topics in memory
// and a clock that the test moves.
//
//	d := enginetest.New(t, plan)
//	enginetest.Add(d, rates, Rate{Pair: "EUR/USD", Bid: 1.1, At: noon})
//	rows := enginetest.Rows(d, bars.Final().Size(time.Minute))
//
// What a test sees is what the broker's consumers would see: results appear when their transaction
// is committed. A [Driver] commits after each Add unless it is told otherwise, and restores all its
// state from the changelogs on [Driver.Crash].
//
// A Driver is for one goroutine. Its functions fail the test on errors of the engine;
// [Driver.TryRaw] is for tests that expect one.
package enginetest
