package streamstest

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"math"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl/entity"
	"github.com/ashi-stream/ashi/engine/internal/murmur"
	"github.com/ashi-stream/ashi/windows"
)

var rewrite = flag.Bool("rewrite", false, "write the golden file of testdata anew")

// vector is a key as Kafka's serializers write it, with the window that it is of, if any.
type vector struct {
	Type, Key, Window, Bytes string
	Start, End               windows.Time
	Murmur2                  int32
	Partitions               map[string]int32 // by how many there are
}

// group is the bytes of the key without its window, and of the key that they are read back as.
func (v vector) group(t *testing.T) (written, again []byte) {
	switch v.Type {
	case "string":
		return twice(t, v.Key)
	case "long":
		n, err := strconv.ParseInt(v.Key, 10, 64)
		require.NoError(t, err)
		return twice(t, n)
	case "int":
		n, err := strconv.ParseInt(v.Key, 10, 32)
		require.NoError(t, err)
		return twice(t, int32(n))
	case "double":
		f, err := strconv.ParseFloat(v.Key, 64)
		require.NoError(t, err)
		return twice(t, f)
	}
	t.Fatalf("a key of type %q", v.Type)
	return nil, nil
}

func twice[K any](t *testing.T, key K) (written, again []byte) {
	codec, err := entity.KeyOf[K]()
	require.NoError(t, err)
	written, err = codec.Append(nil, key)
	require.NoError(t, err)
	read, err := codec.Decode(written)
	require.NoError(t, err)
	again, err = codec.Append(nil, read)
	require.NoError(t, err)
	return written, again
}

// kind is windows as those of the vector.
func (v vector) kind(t *testing.T) windows.Kind {
	switch v.Window {
	case "time":
		return windows.Tumbling(time.Duration(v.End-v.Start) * time.Millisecond).Kinds()[0]
	case "session":
		return windows.Session(time.Second).Kinds()[0]
	}
	require.Equal(t, "none", v.Window)
	return windows.Unbounded().Kinds()[0]
}

// Keys, windowed keys, and the partitions that they go to are those of Kafka's own serializers and
// partitioners.
func TestGoldenKeys(t *testing.T) {
	text, err := os.ReadFile("testdata/golden.json")
	require.NoError(t, err)
	var vectors []vector
	require.NoError(t, json.Unmarshal(text, &vectors))
	require.NotEmpty(t, vectors)
	for _, v := range vectors {
		want, err := hex.DecodeString(v.Bytes)
		require.NoError(t, err)
		group, again := v.group(t)
		require.Equal(t, group, again, "%+v: the key is read back", v)

		k, w := v.kind(t), windows.Window{Start: v.Start, End: v.End}
		got := k.AppendKey(append([]byte{}, group...), w)
		require.Equal(t, want, got, "%+v: bytes", v)
		cut, read, ok := k.CutKey(got)
		require.True(t, ok, "%+v: the windowed key is read back", v)
		require.Equal(t, group, cut, "%+v: the group is read back", v)
		if v.Window != "none" {
			require.Equal(t, w, read, "%+v: the window is read back", v)
		}
		if v.Window == "time" { // keys of sliding windows are no others
			sliding := windows.Sliding(time.Duration(v.End-v.Start) * time.Millisecond).Kinds()[0]
			require.Equal(t, want, sliding.AppendKey(append([]byte{}, group...), w), "%+v: bytes of a sliding window",
				v)
			_, read, ok = sliding.CutKey(want)
			require.True(t, ok, "%+v: the key of a sliding window is read back", v)
			require.Equal(t, w, read, "%+v: the sliding window is read back", v)
		}

		require.Equal(t, v.Murmur2&math.MaxInt32%math.MaxInt32, murmur.Partition(got, math.MaxInt32), "%+v: murmur2", v)
		require.NotEmpty(t, v.Partitions)
		for n, p := range v.Partitions {
			n, err := strconv.ParseInt(n, 10, 32)
			require.NoError(t, err)
			require.Equal(t, p, murmur.Partition(group, int32(n)), "%+v: partition of %d", v, n)
		}
	}
}

// The vectors are what Kafka's serializers write today. With -rewrite they are written anew.
func TestGoldenKeysAreKafkas(t *testing.T) {
	cmd := exec.Command("java", "-Dfile.encoding=UTF-8", "-cp", jars(t)+"/*", "java/Golden.java")
	cmd.Stderr = t.Output()
	got, err := cmd.Output()
	require.NoError(t, err)
	if *rewrite {
		require.NoError(t, os.WriteFile("testdata/golden.json", got, 0o644))
	}
	want, err := os.ReadFile("testdata/golden.json")
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}
