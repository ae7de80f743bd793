package kafka

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestPartitionAgreesWithFranz(t *testing.T) {
	theirs := kgo.StickyKeyPartitioner(nil).ForTopic("any")
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		key := make([]byte, rng.IntN(40))
		for i := range key {
			key[i] = byte(rng.Uint32())
		}
		n := rng.IntN(200) + 1
		require.Equal(t, theirs.Partition(&kgo.Record{Key: key}, n), int(Partition(key, int32(n))), "key %x of %d", key,
			n)
	}
}

func BenchmarkPartition(b *testing.B) {
	key := []byte("EUR/USD-0001")
	for b.Loop() {
		Partition(key, 12)
	}
}
