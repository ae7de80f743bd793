package kafka

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// What a record of an input may cost beyond its own bytes. A few kilobytes of a compressed batch
// can stand for gigabytes, and whoever may write to a topic can write them; so every size is looked
// at before memory is taken for it.
const (
	// unpackedLeast and unpackedTimes bound a batch that is decompressed: 32 MiB, or 8 times its
	// compressed bytes if that is more. A batch of Kafka's own clients is at most 1 MiB before it
	// is compressed, unless they are told otherwise.
	unpackedLeast = 32 << 20
	unpackedTimes = 8
	// maxHeaders bounds the headers of one record, headersAtOnce those of the records that are
	// decoded at a time, but for the last of them.
	maxHeaders    = 4096
	headersAtOnce = 8 * maxHeaders
)

// ErrTooLarge says that a batch or record of an input would take more memory than is allowed to
// any.
var ErrTooLarge = errors.New("kafka: it would take too much memory")

// The codecs of Kafka's batches.
const (
	codecGzip = 1 + iota
	codecSnappy
	codecLz4
	codecZstd
)

// unpacker decompresses the batches of one partition.
type unpacker struct {
	gzip  *gzip.Reader
	lz4   *lz4.Reader
	zstd  *zstd.Decoder
	bound int // of zstd
}

// unpack is what src was before it was compressed.
func (u *unpacker) unpack(codec uint16, src []byte) ([]byte, error) {
	bound := max(unpackedLeast, unpackedTimes*len(src))
	out, err := u.bounded(codec, src, bound)
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) || len(out) > bound {
		return nil, fmt.Errorf("%w: a compressed batch of %d bytes has more than %d", ErrTooLarge, len(src), bound)
	}
	return out, err
}

// bounded is unpack; what has more bytes than bound is cut one byte behind that.
func (u *unpacker) bounded(codec uint16, src []byte, bound int) (out []byte, err error) {
	switch codec {
	case codecGzip:
		if u.gzip == nil {
			u.gzip = new(gzip.Reader)
		}
		if err := u.gzip.Reset(bytes.NewReader(src)); err != nil {
			return nil, err
		}
		return io.ReadAll(io.LimitReader(u.gzip, int64(bound)+1))
	case codecLz4:
		if u.lz4 == nil {
			u.lz4 = lz4.NewReader(nil)
		}
		u.lz4.Reset(bytes.NewReader(src))
		return io.ReadAll(io.LimitReader(u.lz4, int64(bound)+1))
	case codecSnappy:
		return unpackSnappy(src, bound)
	case codecZstd:
		if u.zstd == nil || u.bound < bound {
			d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
				zstd.WithDecoderMaxMemory(uint64(bound)))
			if err != nil {
				return nil, err
			}
			u.zstd, u.bound = d, bound
		}
		return u.zstd.DecodeAll(src, nil)
	}
	return nil, fmt.Errorf("compression codec %d is not known", codec)
}

// xerial is how the framing begins that Java's clients put around blocks of snappy; two version
// numbers follow it.
var xerial = []byte{130, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialHeader = 16

var errXerial = errors.New("snappy blocks are cut short")

// unpackSnappy sums what the blocks say of their sizes before it takes memory.
func unpackSnappy(src []byte, bound int) ([]byte, error) {
	var blocks [][]byte
	if len(src) > xerialHeader && bytes.HasPrefix(src, xerial) {
		for rest := src[xerialHeader:]; len(rest) > 0; {
			if len(rest) < 4 {
				return nil, errXerial
			}
			n := binary.BigEndian.Uint32(rest)
			if rest = rest[4:]; uint64(n) > uint64(len(rest)) {
				return nil, errXerial
			}
			blocks, rest = append(blocks, rest[:n]), rest[n:]
		}
	} else {
		blocks = [][]byte{src}
	}
	total := 0
	for _, b := range blocks {
		n, err := s2.DecodedLen(b)
		if err != nil {
			return nil, err
		}
		if total += n; total > bound {
			return nil, fmt.Errorf("%w: %d compressed bytes stand for %d or more, at most %d are taken", ErrTooLarge,
				len(src), total, bound)
		}
	}
	out := slices.Grow([]byte(nil), total)
	for _, b := range blocks {
		n, _ := s2.DecodedLen(b) // as above
		if _, err := s2.Decode(out[len(out):len(out)+n], b); err != nil {
			return nil, err
		}
		out = out[:len(out)+n]
	}
	return out, nil
}
