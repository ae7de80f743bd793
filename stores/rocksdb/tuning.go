//go:build cgo

package rocksdb

import "github.com/linxGnu/grocksdb"

const (
	bloomBitsPerKey = 10 // one false positive in a hundred look-ups
	// memtableBloom is the part of the write buffer that a filter in front of it takes, so that a
	// miss costs no search.
	memtableBloom = 0.02
	blockSize     = 4 << 10 // a point get unpacks one block
	blockFormat   = 5       // the newest that RocksDB 6.6 and later read: faster filters
	keptLogs      = 2
	logBytes      = 1 << 20
	leastShard    = 4 << 20
	mostShardBits = 6
	syncStride    = 1 << 20 // write dirty pages as they come, not all at the file's end
)

// databaseOptions tunes for point gets of rows and sorted batches, and for many stores in one
// process: a store that is idle should cost next to nothing. The caller destroys the options once
// the database is open.
func databaseOptions(o Options) *grocksdb.Options {
	opts := grocksdb.NewDefaultOptions()
	opts.SetCreateIfMissing(true)

	opts.SetWriteBufferSize(uint64(o.WriteBuffer))
	opts.SetMaxWriteBufferNumber(2)
	opts.SetMemTablePrefixBloomSizeRatio(memtableBloom)
	opts.SetMemtableWholeKeyFiltering(true)
	opts.SetLevelCompactionDynamicLevelBytes(true)
	opts.SetMaxBackgroundJobs(2)
	opts.SetBytesPerSync(syncStride)
	opts.SetCompression(grocksdb.NoCompression)
	if o.Compression {
		opts.SetCompression(grocksdb.LZ4Compression)
	}

	opts.SetInfoLogLevel(grocksdb.WarnInfoLogLevel)
	opts.SetKeepLogFileNum(keptLogs)
	opts.SetMaxLogFileSize(logBytes)
	opts.SetStatsDumpPeriodSec(0)
	opts.SetStatsPersistPeriodSec(0)
	opts.SetManifestPreallocationSize(64 << 10)

	setBlocks(opts, o)
	return opts
}

// setBlocks sets how files are laid out and cached. Indexes and filters live in the cache, so that
// its size bounds all of them; those of the newest files stay, since every get asks them.
func setBlocks(opts *grocksdb.Options, o Options) {
	lru := grocksdb.NewLRUCacheOptions()
	defer lru.Destroy()
	lru.SetCapacity(uint(o.BlockCache))
	lru.SetNumShardBits(shardBits(o.BlockCache))
	cache := grocksdb.NewLRUCacheWithOptions(lru)
	defer cache.Destroy() // the database holds its own reference
	blocks := grocksdb.NewDefaultBlockBasedTableOptions()
	defer blocks.Destroy()
	blocks.SetBlockCache(cache)
	blocks.SetBlockSize(blockSize)
	blocks.SetFormatVersion(blockFormat)
	blocks.SetFilterPolicy(grocksdb.NewBloomFilter(bloomBitsPerKey))
	blocks.SetDataBlockIndexType(grocksdb.KDataBlockIndexTypeBinarySearchAndHash)
	blocks.SetCacheIndexAndFilterBlocks(true)
	blocks.SetCacheIndexAndFilterBlocksWithHighPriority(true)
	blocks.SetPinL0FilterAndIndexBlocksInCache(true)
	opts.SetBlockBasedTableFactory(blocks)
}

// shardBits cuts a cache into parts that hold the filter of a large file, some 600 KB: RocksDB's
// own choice is parts of 512 KiB, in which such a filter finds no place, so that each get reads it
// anew.
func shardBits(cache int64) (bits int) {
	for cache >= 2*leastShard && bits < mostShardBits {
		cache /= 2
		bits++
	}
	return bits
}
