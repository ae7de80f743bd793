// Package storetest holds stores to the contract of stores.Store.
//
// [Run] checks what holds for every store, [RunDurable] what a store on disk promises besides: that
// it comes back after a Close, that a process killed at any moment leaves whole Writes in order,
// and that damaged files give stores.ErrCorrupt or an earlier state, never wrong data. A failure
// names the rule of the contract that is broken. [Faulty] is a store for the tests of those who use
// one: calls fail on demand, and a crash can lose what was not flushed.
//
// RunDurable starts the test program again, as the process to kill: what a test does before it
// calls RunDurable happens there too.
//
// Random checks print their seed when they fail; the environment variable STORETEST_SEED repeats
// one.
//
// Run and RunDurable are called from the goroutine of a test; a Faulty may be used by any number of
// goroutines.
package storetest
