// Package rocksdb keeps a store in a directory on disk, with RocksDB. It is the only package that
// knows grocksdb, and it needs cgo: without it [Open] returns stores.ErrUnavailable, so that
// programs still build.
//
// [Open] makes or opens a [Store] from a directory and [Options]; [OpenReadOnly] reads one beside
// its owner; [Destroy] removes one. A directory belongs to one store and holds nothing else. A
// marker file says that it is ours: Open refuses a directory with other files in it, and Destroy
// removes nothing but the files of a store that has the marker.
//
// Caveats:
//   - There is no write-ahead log: the changelog is the log. Writes are durable once Flush or Close has returned, or
//     earlier, when a full write buffer goes to disk; always in order and whole batches.
//   - Damage is found when the damaged bytes are read, which may be long after Open. Any call may return
//     stores.ErrCorrupt; then close the store, Destroy it, and rebuild it from the log.
//   - Sort a batch by key before writing it: rows in key order cost a fifth of rows in random order.
//   - Memory outside of Go's heap: per store the block cache and up to two write buffers.
//
// A Store may be used by any number of goroutines, and closed while they use it.
package rocksdb
