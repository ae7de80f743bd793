package kafka

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The vectors of Kafka's own UtilsTest.
func TestMurmur2Golden(t *testing.T) {
	for key, want := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		require.Equal(t, want, int32(murmur2([]byte(key))), key)
	}
}

func TestPartitionAgreesWithFranz(t *testing.T) {
	theirs := kgo.StickyKeyPartitioner(nil).ForTopic("any")
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		key := make([]byte, rng.IntN(40))
		for i := range key {
			key[i] = byte(rng.Uint32())
		}
		n := rng.IntN(200) + 1
		require.Equal(t, theirs.Partition(&kgo.Record{Key: key}, n), int(Partition(key, int32(n))), "key %x of %d", key, n)
	}
}

func BenchmarkPartition(b *testing.B) {
	key := []byte("EUR/USD-0001")
	for b.Loop() {
		Partition(key, 12)
	}
}
