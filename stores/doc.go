// Package stores keeps the state of tasks and tables as bytes under ordered keys.
//
// [Store] is the contract: get, write a batch as one, scan in order, flush. [Batch] collects the
// operations of one write in the bytes that RocksDB understands, so that a store of a million rows
// is written without a call per row. The Append and Bounds functions of this package lay out keys:
// rows of windowed and unwindowed operators, rows of tables, and single named values.
//
// Sub-packages keep the bytes: memory in an ordered tree, rocksdb on disk. storetest holds every
// store to the contract and has a store that fails on demand. A store without a write-ahead log, as
// ours are, keeps a prefix of its Writes after a crash; whoever writes puts the log position into
// the same batch as the rows that it stands for.
//
// Keys outlive a process: their layout is pinned by golden tests and must not change without a new
// kind byte.
//
// A Store may be used by any number of goroutines; a Batch belongs to one goroutine at a time. The
// key functions are pure.
package stores
