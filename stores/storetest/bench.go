package storetest

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/ashi-stream/ashi/stores"
)

// The shape of benchmarked rows: a table's worth of bars.
const (
	benchRows      = 200_000
	benchKeyBytes  = 24
	benchBatchRows = 10_000
)

var benchValue = bytes.Repeat([]byte("ohlc"), 16) // 64 bytes

// Benchmark measures stores that open makes: Get of keys that are there and that are not, in random
// order; Write of a batch of 10,000 rows in key order; Scan. Rows have 24-byte keys and 64-byte
// values; figures of Write and Scan are per row. The store holds 200,000 rows, flushed.
func Benchmark(b *testing.B, open func(b *testing.B) stores.Store) {
	b.Run("GetHit", func(b *testing.B) { benchGet(b, filledStore(b, open), 0) })
	b.Run("GetMiss", func(b *testing.B) { benchGet(b, filledStore(b, open), 1) })
	b.Run("WriteSorted", func(b *testing.B) { benchWrite(b, open(b)) })
	b.Run("Scan", func(b *testing.B) { benchScan(b, filledStore(b, open)) })
}

func filledStore(b *testing.B, open func(b *testing.B) stores.Store) stores.Store {
	b.Helper()
	s := open(b)
	for first := int64(0); first < benchRows; first += benchBatchRows {
		if err := s.Write(sortedRows(&stores.Batch{}, first)); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Flush(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	return s
}

// benchKey is the row of start n; kind 1 is never written.
func benchKey(dst []byte, n int64, kind byte) []byte {
	dst = stores.AppendRowKey(dst, 1, n, []byte("EUR/USD: bid "))
	dst[len(dst)-1] = kind
	return dst[:benchKeyBytes]
}

func sortedRows(batch *stores.Batch, first int64) *stores.Batch {
	batch.Reset()
	var key []byte
	for n := first; n < first+benchBatchRows; n++ {
		key = benchKey(key[:0], n, 0)
		batch.Put(key, benchValue)
	}
	return batch
}

func benchGet(b *testing.B, s stores.Store, kind byte) {
	r := rand.New(rand.NewPCG(1, 2))
	var key, dst []byte
	for b.Loop() {
		key = benchKey(key[:0], r.Int64N(benchRows), kind)
		value, ok, err := s.Get(dst[:0], key)
		if err != nil || ok != (kind == 0) {
			b.Fatal(ok, err)
		}
		dst = value
	}
}

func benchWrite(b *testing.B, s stores.Store) {
	batch := &stores.Batch{}
	first, rows := int64(0), 0
	b.ReportAllocs()
	for b.Loop() {
		if rows%benchBatchRows == 0 { // filling the batch is a part of the price
			if err := s.Write(sortedRows(batch, first)); err != nil {
				b.Fatal(err)
			}
			first = (first + benchBatchRows) % benchRows
		}
		rows++
	}
}

func benchScan(b *testing.B, s stores.Store) {
	rows, bytes := 0, 0
	for rows < b.N {
		for entry, err := range s.Scan(nil, nil) {
			if err != nil {
				b.Fatal(err)
			}
			bytes += len(entry.Value)
			if rows++; rows == b.N {
				break
			}
		}
	}
	if bytes != b.N*len(benchValue) {
		b.Fatal("values have the wrong size")
	}
}
