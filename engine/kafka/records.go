package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/windows"
)

// ErrCorrupt says that a broker sent bytes that are not what a producer wrote.
var ErrCorrupt = errors.New("kafka: corrupt record batch")

// Where the fields of a record batch (format version 2) begin, and the bits of its attributes.
const (
	atLength       = 8
	atMagic        = 16
	atCRC          = 17
	atAttributes   = 21
	atLastDelta    = 23
	atFirstTime    = 27
	atMaxTime      = 35
	atProducer     = 43
	atCount        = 57
	batchHeader    = 61
	lengthExcludes = 12 // the length field does not count the base offset and itself

	codecBits        = 0x07
	appendTimeBit    = 0x08
	transactionalBit = 0x10
	controlBit       = 0x20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// chunk is what one fetch answered for one partition: whole record batches as they are on disk.
type chunk struct {
	raw     []byte
	from    int64 // the offset that was asked for; the first batch may begin before it
	next    int64 // the offset after the last batch
	aborted []kmsg.FetchResponseTopicPartitionAbortedTransaction
}

// wholeBatches is the length of the whole batches at the start of raw, and the offset after them. A
// broker cuts its answer at the size that was asked for, so the last batch may be a piece.
func wholeBatches(raw []byte) (length int, next int64, err error) {
	for len(raw)-length >= batchHeader {
		b := raw[length:]
		if b[atMagic] != 2 {
			return 0, 0, fmt.Errorf("%w: format version %d is older than Kafka 0.11", ErrCorrupt, b[atMagic])
		}
		size := int64(int32(binary.BigEndian.Uint32(b[atLength:]))) + lengthExcludes
		if size < batchHeader {
			return 0, 0, fmt.Errorf("%w: batch of %d bytes", ErrCorrupt, size)
		}
		if size > int64(len(b)) {
			break
		}
		next = int64(binary.BigEndian.Uint64(b)) + int64(int32(binary.BigEndian.Uint32(b[atLastDelta:]))) + 1
		length += int(size)
	}
	return length, next, nil
}

// decoder turns the chunks of one partition into records, without what was aborted. It is reused
// from chunk to chunk and used by one goroutine. Keys and values are views of the chunk (or of a
// decompressed copy).
type decoder struct {
	unpacker unpacker

	raw     []byte // batches not begun yet
	from    int64
	aborted []kmsg.FetchResponseTopicPartitionAbortedTransaction

	// The batch under way.
	body       []byte // its records not decoded yet
	left       int
	base, end  int64
	firstTime  int64
	appendTime int64 // of all its records, if useAppend
	useAppend  bool
	tooLarge   error // it has more bytes than are taken: what its one record says

	position int64 // the offset to read next, after what fill has returned
}

func newDecoder() *decoder { return new(decoder) }

func (d *decoder) start(c *chunk) {
	d.raw, d.from, d.position = c.raw, c.from, c.from
	d.aborted = append(d.aborted[:0], c.aborted...)
	d.body, d.left, d.end, d.tooLarge = nil, 0, c.from, nil
	if len(c.raw) == 0 {
		d.end = c.next
	}
}

// fill decodes up to len(dst) records and returns how many; fewer at the end of the chunk, and
// where they have very many headers. Batches that hold nothing for us (markers, aborted or
// compacted away) are passed over, and position with them. A record that is too large has its Err,
// and a batch that is stands for one such record.
func (d *decoder) fill(dst []task.Record) (int, error) {
	n, headers := 0, 0
	for {
		for d.left > 0 {
			if n == len(dst) || headers > headersAtOnce {
				return n, nil
			}
			took, err := d.record(&dst[n])
			if err != nil {
				return n, err
			}
			if took {
				d.position = dst[n].Offset + 1
				headers += len(dst[n].Headers)
				n++
			}
		}
		if d.tooLarge != nil {
			if n == len(dst) {
				return n, nil
			}
			dst[n] = task.Record{Offset: max(d.base, d.from), Timestamp: windows.Time(d.firstTime), Err: d.tooLarge}
			d.tooLarge = nil
			d.position = dst[n].Offset + 1
			n++
		}
		if d.end > d.position {
			d.position = d.end
		}
		if len(d.raw) == 0 {
			return n, nil
		}
		if err := d.batch(); err != nil {
			return n, err
		}
	}
}

// batch opens the next batch, or passes over it, leaving left at 0.
func (d *decoder) batch() error {
	size := int(binary.BigEndian.Uint32(d.raw[atLength:])) + lengthExcludes
	b := d.raw[:size:size]
	d.raw = d.raw[size:]
	d.base = int64(binary.BigEndian.Uint64(b))
	d.end = d.base + int64(int32(binary.BigEndian.Uint32(b[atLastDelta:]))) + 1
	if crc32.Checksum(b[atAttributes:], castagnoli) != binary.BigEndian.Uint32(b[atCRC:]) {
		return fmt.Errorf("%w: checksum of the batch at offset %d", ErrCorrupt, d.base)
	}
	attributes := binary.BigEndian.Uint16(b[atAttributes:])
	producer := int64(binary.BigEndian.Uint64(b[atProducer:]))
	switch {
	case attributes&controlBit != 0:
		d.marker(producer, b[batchHeader:])
		return nil
	case attributes&transactionalBit != 0 && d.abortedAt(producer) >= 0:
		return nil
	}
	d.body = b[batchHeader:]
	d.firstTime = int64(binary.BigEndian.Uint64(b[atFirstTime:]))
	d.appendTime = int64(binary.BigEndian.Uint64(b[atMaxTime:]))
	d.useAppend = attributes&appendTimeBit != 0
	if codec := attributes & codecBits; codec != 0 {
		body, err := d.unpacker.unpack(codec, d.body)
		switch {
		case errors.Is(err, ErrTooLarge):
			d.body = nil
			if d.end > d.from { // else it was read before
				d.tooLarge = fmt.Errorf("batch of offsets %d to %d: %w", d.base, d.end-1, err)
			}
			return nil
		case err != nil:
			return fmt.Errorf("%w: decompress the batch at offset %d: %w", ErrCorrupt, d.base, err)
		}
		d.body = body
	}
	d.left = int(binary.BigEndian.Uint32(b[atCount:]))
	return nil
}

// abortedAt is where the aborted transaction is that the producer has under way at the current
// batch, or -1.
func (d *decoder) abortedAt(producer int64) int {
	at := -1
	for i, a := range d.aborted {
		if a.ProducerID == producer && a.FirstOffset <= d.base &&
			(at < 0 || a.FirstOffset < d.aborted[at].FirstOffset) {
			at = i
		}
	}
	return at
}

// marker ends a producer's transaction. Only abort markers matter: the broker lists nothing but
// aborted transactions.
func (d *decoder) marker(producer int64, body []byte) {
	var r task.Record
	d.body, d.left = body, 1
	d.firstTime, d.useAppend = 0, false
	_, err := d.record(&r)
	d.body, d.left = nil, 0
	const abort = 0
	if err != nil || len(r.Key) < 4 || binary.BigEndian.Uint16(r.Key[2:]) != abort {
		return
	}
	if at := d.abortedAt(producer); at >= 0 {
		d.aborted = append(d.aborted[:at], d.aborted[at+1:]...)
	}
}

// record decodes one record into r; false where it is before the offset that was asked for.
func (d *decoder) record(r *task.Record) (bool, error) {
	b := d.body
	length, i := zigzag(b, 0)
	end := i + int(length)
	if i < 0 || length < 0 || length > int64(len(b)-i) {
		return false, d.malformed()
	}
	i++ // attributes, none defined
	timeDelta, i := zigzag(b, i)
	offsetDelta, i := zigzag(b, i)
	key, i := blob(b, i)
	value, i := blob(b, i)
	headers, i := zigzag(b, i)
	if i < 0 || i > end || headers < 0 {
		return false, d.malformed()
	}
	r.Headers, r.Err = nil, nil
	switch {
	case headers > int64(end-i)/2: // each takes two bytes at least
		return false, d.malformed()
	case headers > maxHeaders:
		r.Err = fmt.Errorf("%w: it has %d headers, at most %d are taken", ErrTooLarge, headers, maxHeaders)
	case headers > 0:
		if r.Headers, i = headerList(b[:end], i, headers); i < 0 {
			return false, d.malformed()
		}
	}
	d.body = b[end:]
	d.left--
	r.Key, r.Value = key, value
	r.Offset = d.base + offsetDelta
	r.Timestamp = windows.Time(d.firstTime + timeDelta)
	if d.useAppend {
		r.Timestamp = windows.Time(d.appendTime)
	}
	return r.Offset >= d.from, nil
}

func (d *decoder) malformed() error {
	return fmt.Errorf("%w: record with %d left in the batch at offset %d", ErrCorrupt, d.left, d.base)
}

// headerList is for the rare record that has headers; it allocates, so n must have been looked at.
func headerList(b []byte, i int, n int64) ([]task.Header, int) {
	list := make([]task.Header, n)
	for k := range list {
		var key []byte
		key, i = blob(b, i)
		list[k].Value, i = blob(b, i)
		list[k].Key = string(key)
	}
	return list, i
}

// blob reads a length-prefixed byte string at i; nil for Kafka's null. A negative index in or out
// is an earlier failure.
func blob(b []byte, i int) ([]byte, int) {
	n, i := zigzag(b, i)
	if i < 0 || n > int64(len(b)-i) {
		return nil, -1
	}
	if n < 0 {
		return nil, i
	}
	end := i + int(n)
	return b[i:end:end], end
}

// zigzag reads a signed varint at i and returns the index after it, or -1.
func zigzag(b []byte, i int) (int64, int) {
	if uint(i) < uint(len(b)) && b[i] < 0x80 {
		u := uint64(b[i])
		return int64(u>>1) ^ -int64(u&1), i + 1
	}
	return zigzagLong(b, i)
}

func zigzagLong(b []byte, i int) (int64, int) {
	if i < 0 || i > len(b) {
		return 0, -1
	}
	v, n := binary.Varint(b[i:])
	if n <= 0 {
		return 0, -1
	}
	return v, i + n
}
