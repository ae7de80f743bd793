// Package memory keeps a store in the process's memory: for tests, for programs built without cgo,
// and for state that may be rebuilt from its log at every start. Nothing outlives Close, so Flush
// promises what it can: nothing.
//
// The entries are in a B-tree (tidwall/btree 1.8: generic, maintained, no dependency). Its copy is
// one small allocation that shares all nodes, and later writes copy only the nodes that they touch;
// that is how a Scan sees one moment of the store without holding up writers. A tree of our own
// would have been the same code again.
//
// Memory is bounded by the data, not by a setting.
//
// A [Store] may be used by any number of goroutines; writes and reads exclude each other only for
// the time of one call.
package memory
