package rocksdb

import (
	"errors"
	"fmt"
)

const (
	defaultBlockCache  = 64 << 20
	defaultWriteBuffer = 16 << 20
	// leastWriteBuffer keeps a typing error (megabytes for bytes) from making a file out of every
	// batch.
	leastWriteBuffer = 64 << 10
)

// Options are the settings of one store. The zero value is usable.
type Options struct {
	// BlockCache bounds the blocks, indexes and filters of files that are kept in memory, in bytes.
	// 0 means 64 MiB.
	BlockCache int64
	// WriteBuffer is how much is gathered in memory before it becomes a file, in bytes; at least 64
	// KiB. There can be two of it: one being filled, one on its way to disk. 0 means 16 MiB.
	WriteBuffer int64
	// Compression packs blocks with LZ4.
	Compression bool
}

// Statistics are rough figures for a status page.
type Statistics struct {
	// DiskBytes is the size of the data files.
	DiskBytes uint64
	// MemtableBytes is what waits in memory to become files, in bytes.
	MemtableBytes uint64
	// Keys is an estimate of the number of keys: overwritten and deleted ones may count until files
	// are merged.
	Keys uint64
}

// Validate lists every setting that cannot be used.
func (o Options) Validate() error {
	var problems []error
	if o.BlockCache < 0 {
		problems = append(problems, fmt.Errorf("BlockCache is %d bytes: must not be negative", o.BlockCache))
	}
	if o.WriteBuffer != 0 && o.WriteBuffer < leastWriteBuffer {
		problems = append(problems, fmt.Errorf("WriteBuffer is %d bytes: must be at least %d", o.WriteBuffer,
			leastWriteBuffer))
	}
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("rocksdb: options: %w", errors.Join(problems...))
}

func (o Options) withDefaults() Options {
	if o.BlockCache == 0 {
		o.BlockCache = defaultBlockCache
	}
	if o.WriteBuffer == 0 {
		o.WriteBuffer = defaultWriteBuffer
	}
	return o
}
