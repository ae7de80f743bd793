// Package dsl is how a Go program writes a plan: streams and tables of its own structs, steps over
// them, windows of groups.
//
// A [Builder] collects what is declared; [Builder.Build] checks it and returns a topology.Plan,
// which package engine runs. Every mistake is kept until then and reported at once, each with the
// file and line of the call that made it.
//
//	b := dsl.New("fx")
//	rates := dsl.Stream[Rate](b, "rates")
//	bars := dsl.Aggregate(dsl.GroupByKey[string](rates), windows.Minutes(1, 5), bar)
//	final := bars.Final()
//	plan, err := b.Build()
//
// Steps that keep the type of the rows are methods ([StreamOf.Filter], [StreamOf.Peek]), steps that
// change it are functions ([Map], [FlatMap], [GroupBy], [Aggregate]), as Go's methods have no type
// parameters.
//
// # Rows
//
// A row that a function of the user's gets is valid during the call only: the engine decodes the
// next record into the same memory, and strings in it may be views of what came from the broker.
// What is to be kept must be copied (strings.Clone). A function must not change the row.
//
// # Concurrency
//
// A Builder is for one goroutine. Functions given to it are called by many tasks at once, and must
// be safe for that.
package dsl
