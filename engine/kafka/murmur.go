package kafka

import "github.com/ashi-stream/ashi/engine/internal/murmur"

// Partition is the partition of n, 0 to n-1, that Kafka's own clients choose for a record with this
// key; n must be positive. A nil key counts as an empty one (Java spreads keyless records instead:
// nobody can look for those by key).
func Partition(key []byte, n int32) int32 { return murmur.Partition(key, n) }
