// Package engine runs a plan inside the program's own process.
//
//	eng, err := engine.New(plan, engine.Config{Brokers: brokers, StateDir: dir})
//	err = eng.Run(ctx) // blocks; returns the first fatal error
//
// [Engine.Run] joins one consumer group per sub-topology and works on the partitions that it is
// given, exactly once by default. Beside it, programs read tables ([Table]), write rows ([Add]) and
// listen to topics ([ForEach]).
//
// What is where: the function that processes a record is in internal/task; brokers are met in kafka
// only; a broker for demos and tests is in embedded; enginetest runs plans in tests. docs/design.md
// follows a record through all of them.
//
// An Engine may be used by any number of goroutines; Run may be called once.
package engine
