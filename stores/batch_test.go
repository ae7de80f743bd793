package stores_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/stores"
)

// TestBatchGolden pins the bytes to RocksDB's format; that RocksDB reads them is tested where it
// is.
func TestBatchGolden(t *testing.T) {
	long := bytes.Repeat([]byte{'v'}, 300)
	var b stores.Batch
	b.Put([]byte("key"), []byte("value"))
	b.Delete([]byte("gone"))
	b.DeleteRange([]byte("a"), []byte("b"))
	b.Put([]byte("e"), nil)
	b.Put([]byte("l"), long)

	want := "0000000000000000" + "05000000" + // sequence, count
		"01" + "03" + "6b6579" + "05" + "76616c7565" +
		"00" + "04" + "676f6e65" +
		"0f" + "01" + "61" + "01" + "62" +
		"01" + "01" + "65" + "00" +
		"01" + "01" + "6c" + "ac02" + hex.EncodeToString(long)
	require.Equal(t, want, hex.EncodeToString(b.Data()))
	require.Equal(t, 5, b.Len())
	require.Equal(t, len(want)/2, b.Size())
}

func TestBatchZeroValueAndReset(t *testing.T) {
	var b stores.Batch
	requireEmpty := func() {
		t.Helper()
		require.Zero(t, b.Len())
		require.Equal(t, 12, b.Size())
		require.Equal(t, make([]byte, 12), b.Data())
		require.Empty(t, slices.Collect(b.Ops()))
	}
	requireEmpty()
	b.Reset()
	requireEmpty()
	b.Put([]byte("k"), []byte("v"))
	b.Reset()
	requireEmpty()
	b.Delete([]byte("k"))
	require.Equal(t, 1, b.Len())
}

func TestBatchDropsRangesThatHoldNothing(t *testing.T) {
	var b stores.Batch
	b.DeleteRange([]byte("b"), []byte("a"))
	b.DeleteRange([]byte("a"), []byte("a"))
	b.DeleteRange(nil, nil)
	b.DeleteRange([]byte("a"), nil)
	require.Zero(t, b.Len())
	b.DeleteRange(nil, []byte("a"))
	require.Equal(t, 1, b.Len())
}

func TestBatchOpsCanBeLeft(t *testing.T) {
	var b stores.Batch
	b.Put([]byte("a"), nil)
	b.Put([]byte("b"), nil)
	for op := range b.Ops() {
		require.Equal(t, "a", string(op.Key))
		break
	}
}

func TestBatchDoesNotAllocateOnceGrown(t *testing.T) {
	var b stores.Batch
	key, value := []byte("a key of some length"), bytes.Repeat([]byte{1}, 200)
	fill := func() {
		b.Reset()
		for range 100 {
			b.Put(key, value)
			b.Delete(key)
			b.DeleteRange(key, value[:0])
		}
	}
	fill()
	require.Zero(t, testing.AllocsPerRun(10, fill))
	require.Zero(t, testing.AllocsPerRun(10, func() {
		for op := range b.Ops() {
			if op.Kind == stores.OpDeleteRange {
				t.Fatal("not written")
			}
		}
	}))
}

// FuzzBatch makes operations out of bytes and reads them back.
func FuzzBatch(f *testing.F) {
	f.Add([]byte("\x00ab\x01cd\x02ef"))
	f.Add(bytes.Repeat([]byte{1}, 700))
	f.Fuzz(func(t *testing.T, program []byte) {
		var b stores.Batch
		var want []string
		for len(program) > 2 {
			kind, n := program[0]%3, int(program[1])
			rest := program[2:]
			key := rest[:min(n, len(rest))]
			value := bytes.Repeat(key, int(program[1])%5)
			program = rest[len(key):]
			switch kind {
			case 0:
				b.Put(key, value)
				want = append(want, fmt.Sprintf("put %x %x", key, value))
			case 1:
				b.Delete(key)
				want = append(want, fmt.Sprintf("delete %x", key))
			case 2:
				b.DeleteRange(key, value)
				if bytes.Compare(key, value) < 0 {
					want = append(want, fmt.Sprintf("delete range %x %x", key, value))
				}
			}
		}
		var got []string
		for op := range b.Ops() {
			switch op.Kind {
			case stores.OpPut:
				got = append(got, fmt.Sprintf("put %x %x", op.Key, op.Value))
			case stores.OpDelete:
				got = append(got, fmt.Sprintf("delete %x", op.Key))
			case stores.OpDeleteRange:
				got = append(got, fmt.Sprintf("delete range %x %x", op.Key, op.To))
			}
		}
		require.Equal(t, want, got)
		require.Equal(t, len(want), b.Len())
	})
}
