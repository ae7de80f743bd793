package kafka

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"hash/crc32"
	"io"
	"runtime"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ashi-stream/ashi/engine/internal/task"
)

// packed is a batch of one record, at offset base, with its body compressed.
func packed(t *testing.T, base int64, codec int16, r kmsg.Record) []byte {
	r.Length = int32(len(r.AppendTo(nil)) - 1) // a length of 0 takes one byte
	body := r.AppendTo(nil)
	var out bytes.Buffer
	through := func(w io.WriteCloser) {
		_, err := w.Write(body)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	}
	switch codec {
	case 0:
		out.Write(body)
	case codecGzip:
		through(gzip.NewWriter(&out))
	case codecSnappy:
		out.Write(s2.EncodeSnappy(nil, body))
	case codecLz4:
		through(lz4.NewWriter(&out))
	case codecZstd:
		w, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
		require.NoError(t, err)
		through(w)
	}
	b := kmsg.RecordBatch{FirstOffset: base, Magic: 2, Attributes: codec, ProducerID: -1, FirstTimestamp: 5,
		MaxTimestamp: 5, NumRecords: 1, Records: out.Bytes()}
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[atLength:], uint32(len(raw)-lengthExcludes))
	binary.BigEndian.PutUint32(raw[atCRC:], crc32.Checksum(raw[atAttributes:], castagnoli))
	return raw
}

// read decodes a chunk, and says how many bytes were allocated meanwhile.
func read(t *testing.T, batches ...[]byte) (records []task.Record, allocated uint64) {
	raw := bytes.Join(batches, nil)
	_, next, err := wholeBatches(raw)
	require.NoError(t, err)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	d, some := newDecoder(), make([]task.Record, 1)
	for d.start(&chunk{raw: raw, next: next}); d.position < next; {
		n, err := d.fill(some)
		require.NoError(t, err)
		records = append(records, some[:n]...)
	}
	runtime.ReadMemStats(&after)
	return records, after.TotalAlloc - before.TotalAlloc
}

// Few bytes that stand for very many are not taken into memory, whatever compressed them: the batch
// is one record with an error, and what is behind it is read.
func TestBombsAreRecordsWithAnError(t *testing.T) {
	after := packed(t, 1, 0, kmsg.Record{Value: []byte("after")})
	for name, codec := range map[string]int16{"gzip": codecGzip, "snappy": codecSnappy, "lz4": codecLz4,
		"zstd": codecZstd} {
		t.Run(name, func(t *testing.T) {
			size := 4 * unpackedLeast
			if codec == codecSnappy { // it makes things a twentieth at best
				size = 6 * unpackedLeast
			}
			bomb := packed(t, 0, codec, kmsg.Record{Value: make([]byte, size)})
			got, allocated := read(t, bomb, after)
			require.Len(t, got, 2)
			require.ErrorIs(t, got[0].Err, ErrTooLarge)
			require.Zero(t, got[0].Offset)
			require.Nil(t, got[0].Value)
			require.NoError(t, got[1].Err)
			require.Equal(t, "after", string(got[1].Value))
			require.Less(t, allocated, uint64(6*max(unpackedLeast, unpackedTimes*len(bomb))))

			fine := packed(t, 0, codec, kmsg.Record{Value: make([]byte, unpackedLeast/2)})
			got, _ = read(t, fine, after)
			require.NoError(t, got[0].Err, "half of the bound is no bomb")
			require.Len(t, got[0].Value, unpackedLeast/2)
		})
	}
}

// A record says how many headers it has before they are there.
func TestHeadersAreBounded(t *testing.T) {
	headers := func(n int) kmsg.Record { return kmsg.Record{Value: []byte("v"), Headers: make([]kmsg.Header, n)} }
	got, allocated := read(t, packed(t, 0, 0, headers(20<<20/2)), packed(t, 1, 0, headers(maxHeaders)))
	require.Len(t, got, 2)
	require.ErrorIs(t, got[0].Err, ErrTooLarge)
	require.ErrorContains(t, got[0].Err, "headers")
	require.Len(t, got[1].Headers, maxHeaders)
	require.NoError(t, got[1].Err)
	require.Less(t, allocated, uint64(1<<20))

	claimed := packed(t, 0, 0, kmsg.Record{})
	claimed[len(claimed)-1] = 0x7e // 63 headers, and no byte of any
	binary.BigEndian.PutUint32(claimed[atCRC:], crc32.Checksum(claimed[atAttributes:], castagnoli))
	d := newDecoder()
	d.start(&chunk{raw: claimed, next: 1})
	_, err := d.fill(make([]task.Record, 1))
	require.ErrorIs(t, err, ErrCorrupt)
}
