// Package murmur chooses partitions as Kafka's own clients do.
package murmur

import "encoding/binary"

// Partition is the partition of n, 0 to n-1, that Kafka's own clients choose for a record with this
// key; n must be positive. A nil key counts as an empty one (Java spreads keyless records instead:
// nobody can look for those by key).
func Partition(key []byte, n int32) int32 {
	return int32(murmur2(key)&0x7fffffff) % n
}

// murmur2 is the 32-bit MurmurHash2 with the seed that Kafka's Utils.murmur2 uses.
func murmur2(data []byte) uint32 {
	const (
		seed = 0x9747b28c
		m    = 0x5bd1e995
	)
	h := uint32(seed) ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := binary.LittleEndian.Uint32(data) * m
		k ^= k >> 24
		h = h*m ^ k*m
	}
	if len(data) > 0 {
		var tail uint32
		for i, b := range data {
			tail |= uint32(b) << (8 * i)
		}
		h = (h ^ tail) * m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}
