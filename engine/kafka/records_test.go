package kafka

import (
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ashi-stream/ashi/engine/internal/task"
)

// batchOf encodes a record batch with kmsg, which shares no code with the decoder.
func batchOf(base int64, producer int64, attributes int16, values ...string) []byte {
	b := kmsg.RecordBatch{FirstOffset: base, PartitionLeaderEpoch: -1, Magic: 2, Attributes: attributes,
		ProducerID: producer, MaxTimestamp: 77}
	b.LastOffsetDelta, b.NumRecords = int32(len(values))-1, int32(len(values))
	for i, v := range values {
		r := kmsg.Record{OffsetDelta: int32(i), TimestampDelta64: int64(i), Key: []byte("k"), Value: []byte(v)}
		r.Length = int32(len(r.AppendTo(nil)) - 1) // the length itself takes one byte here
		b.Records = r.AppendTo(b.Records)
	}
	b.Length = int32(49 + len(b.Records))
	raw := b.AppendTo(nil)
	b.CRC = int32(crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b.AppendTo(nil)
}

func decodeAll(c *chunk, size int) (values []string, position int64, err error) {
	d := newDecoder()
	d.start(c)
	records := make([]task.Record, size)
	for {
		n, err := d.fill(records)
		for _, r := range records[:n] {
			values = append(values, fmt.Sprintf("%d:%s", r.Offset, r.Value))
		}
		if err != nil || d.position >= c.next {
			return values, d.position, err
		}
	}
}

func TestDecoderSkipsWhatIsNotForUs(t *testing.T) {
	const transactional, control = 0x10, 0x30
	abortMarker := func(base, producer int64) []byte {
		b := kmsg.RecordBatch{FirstOffset: base, Magic: 2, Attributes: control, ProducerID: producer, NumRecords: 1}
		r := kmsg.Record{Key: []byte{0, 0, 0, 0}, Value: []byte{0, 0, 0, 0, 0, 0}}
		r.Length = int32(len(r.AppendTo(nil)) - 1)
		b.Records = r.AppendTo(nil)
		b.Length = int32(49 + len(b.Records))
		raw := b.AppendTo(nil)
		b.CRC = int32(crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
		return b.AppendTo(nil)
	}
	var raw []byte
	for _, b := range [][]byte{
		batchOf(0, 1, transactional, "before", "wanted"), // half of it was read earlier
		batchOf(2, 2, transactional, "aborted"),
		batchOf(3, 1, transactional, "a", "b", "c"),
		abortMarker(6, 2),
		batchOf(7, 2, transactional, "after the abort"),
		batchOf(8, 3, transactional, "aborted too"),
		abortMarker(9, 3),
	} {
		raw = append(raw, b...)
	}
	length, next, err := wholeBatches(append(raw, raw[:80]...)) // a piece at the end
	require.NoError(t, err)
	require.Equal(t, len(raw), length)
	require.Equal(t, int64(10), next)
	c := &chunk{raw: raw, from: 1, next: next, aborted: []kmsg.FetchResponseTopicPartitionAbortedTransaction{
		{ProducerID: 3, FirstOffset: 8}, {ProducerID: 2, FirstOffset: 2},
	}}
	for size := 1; size < 8; size++ {
		values, position, err := decodeAll(c, size)
		require.NoError(t, err)
		require.Equal(t, []string{"1:wanted", "3:a", "4:b", "5:c", "7:after the abort"}, values, "size %d", size)
		require.Equal(t, next, position)
	}
}

func TestDecoderUsesTheAppendTime(t *testing.T) {
	raw := batchOf(0, -1, 0x08, "a")
	d := newDecoder()
	d.start(&chunk{raw: raw, next: 1})
	records := make([]task.Record, 1)
	_, err := d.fill(records)
	require.NoError(t, err)
	require.EqualValues(t, 77, records[0].Timestamp)
}

func TestDecoderRefusesDamage(t *testing.T) {
	good := batchOf(0, -1, 0, "some value", "another")
	for i := range good {
		bad := append([]byte(nil), good...)
		bad[i] ^= 0x41
		length, next, err := wholeBatches(bad)
		if err != nil || length == 0 {
			continue
		}
		values, _, err := decodeAll(&chunk{raw: bad[:length], next: next}, 4)
		if i < 8 || i >= 12 && i < 16 { // the base offset and the leader's epoch are outside of the checksum
			continue
		}
		require.ErrorIs(t, err, ErrCorrupt, "byte %d gave %v", i, values)
	}
}

// What the decoder is given has a right checksum, so that the fuzzer reaches what is behind it.
func FuzzDecoder(f *testing.F) {
	f.Add(batchOf(0, 1, 0x10, "a", "b")[batchHeader:], uint16(0x10), uint32(2))
	f.Add([]byte{0x40, 0, 0, 0, 2, 'k'}, uint16(1), uint32(1))
	f.Fuzz(func(t *testing.T, body []byte, attributes uint16, count uint32) {
		b := kmsg.RecordBatch{Magic: 2, Attributes: int16(attributes), NumRecords: int32(count), Records: body,
			Length: int32(49 + len(body))}
		raw := b.AppendTo(nil)
		b.CRC = int32(crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
		raw = b.AppendTo(nil)
		d := newDecoder()
		d.start(&chunk{raw: raw, next: 1})
		records := make([]task.Record, 16)
		for range 64 {
			if n, err := d.fill(records); err != nil || n == 0 {
				return
			}
		}
	})
}

func TestCompressedBatches(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "zip"))
	require.NoError(t, err)
	defer cluster.Close()
	cfg := Config{Brokers: cluster.ListenAddrs()}
	total := 0
	for _, codec := range []kgo.CompressionCodec{kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(),
		kgo.ZstdCompression()} {
		cl, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...), kgo.ProducerBatchCompression(codec),
			kgo.DefaultProduceTopic("zip"))
		require.NoError(t, err)
		for i := range 500 {
			cl.Produce(t.Context(), kgo.StringRecord(fmt.Sprintf("value %d", i)), nil)
			total++
		}
		require.NoError(t, cl.Flush(t.Context()))
		cl.Close()
	}
	var got []string
	require.NoError(t, Follow(t.Context(), cfg, FollowConfig{
		Topic: "zip", From: map[int32]int64{0: Oldest}, Until: map[int32]int64{0: int64(total)},
		Apply: func(_ int32, records []task.Record, _ int64) error {
			for _, r := range records {
				got = append(got, string(r.Value))
			}
			return nil
		},
	}))
	require.Len(t, got, total)
	for i, v := range got {
		require.Equal(t, fmt.Sprintf("value %d", i%500), v)
	}
}

func BenchmarkDecoder(b *testing.B) {
	values := make([]string, 1000)
	for i := range values {
		values[i] = "24 bytes of a rate tick."
	}
	raw := batchOf(0, -1, 0, values...)
	d, records := newDecoder(), make([]task.Record, batchSize)
	c := &chunk{raw: raw, next: 1000}
	b.ReportAllocs()
	for b.Loop() {
		d.start(c)
		if n, err := d.fill(records); n != 1000 || err != nil {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N)/1000, "ns/record")
}

// A broker's answer may be anything. Whole batches are within it, and what is not whole or not
// right is an error or the end.
func FuzzBatches(f *testing.F) {
	good := append(batchOf(0, 1, 0x10, "a", "b"), batchOf(2, -1, 0, "c")...)
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Add(append([]byte{0xff, 0xff}, good[2:]...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		length, next, err := wholeBatches(raw)
		if err != nil || length == 0 {
			return
		}
		require.LessOrEqual(t, length, len(raw))
		d := newDecoder()
		d.start(&chunk{raw: raw[:length], next: next})
		records := make([]task.Record, 16)
		for range 64 {
			if n, err := d.fill(records); err != nil || n == 0 {
				return
			}
		}
	})
}
