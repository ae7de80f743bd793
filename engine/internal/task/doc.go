// Package task holds the one function that processes a record, and all that belongs to a task: one
// partition of one sub-topology, the unit of ownership, of ordering, of state and of commit.
//
// A [Task] is opened on a store that a changelog was copied into (see [Restorer]), then fed with
// batches: Process decodes each record, runs it through the steps, adds it to its windows and
// closes the windows that its time closes. What comes out goes to a [Producer] at once, inside the
// transaction under way. Commit adds the changed rows and the commit record, which says how far the
// input was read, and ends the transaction; see commit.go for its order and layout. A checkpoint
// copies what was committed into the store.
//
// Everything here is owned by the task's goroutine: one at a time, no locks. The package knows no
// broker and no clock but the one that it is given, so the engine, the simulation and enginetest
// run the very same code.
package task
