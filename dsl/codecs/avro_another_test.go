package codecs

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"
	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl/entity"
	"github.com/ashi-stream/ashi/topology"
)

// What another library has written, with random schemas, is read as it should be, and what is
// written that library reads. ASHI_SEED sets the seed, which is printed.
func TestAvroAgainstAnotherLibrary(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("ASHI_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("ASHI_SEED=%d", seed)
	r := &randomAvro{Rand: rand.New(rand.NewPCG(seed, 0))}
	rows, errs := 0, 0
	for range 300 {
		r.names, r.named = 0, nil
		row, written := r.row()
		text, err := json.Marshal(written.schema)
		require.NoError(t, err)
		codec, err := goavro.NewCodec(string(text))
		require.NoError(t, err, "%s", text)
		m, mistakes := entity.Of(row)
		require.Empty(t, mistakes)
		form, err := newAvroForm(m)
		require.NoError(t, err)
		read, unread := readerOfAvro(topology.Schema{Format: topology.AvroSchema, Text: string(text)},
			func(w *avroType) (avroRead, error) { return resolveRow(m, w) })
		for range 8 {
			native, want, ok := written.value()
			data, err := codec.BinaryFromNative(nil, native)
			require.NoError(t, err, "%s\n%v", text, native)
			got := reflect.New(row)
			if err = unread; err == nil {
				err = form.decode(read, data, got.UnsafePointer())
			}
			if !ok {
				errs++
				require.Error(t, err, "%s\n%v\nread %+v", text, native, got.Elem())
				continue
			}
			rows++
			require.NoError(t, err, "%s\n%v", text, native)
			expectRow(t, m, got, want.(map[string]any), string(text))
			writeAndRead(t, form, got)
		}
	}
	t.Logf("%d rows, %d errors", rows, errs)
	require.Greater(t, rows, 1000)
	require.Greater(t, errs, 100)
}

func expectRow(t *testing.T, m *entity.Model, got reflect.Value, want map[string]any, schema string) {
	t.Helper()
	for _, c := range m.Columns {
		value := plainValue(got.Elem().Field(c.Field), nil)
		require.Equal(t, wantedValue(c.Type, want[c.Name]), value, "%s of %s\n%s", c.Name, m.Type, schema)
	}
}

// writeAndRead writes a row. The other library reads it and writes the same bytes, and it is read
// as it was.
func writeAndRead(t *testing.T, form *avroForm, row reflect.Value) {
	t.Helper()
	data, err := form.encode(nil, row.UnsafePointer())
	require.NoError(t, err, "%+v", row.Elem())
	schema := form.schema.String()
	codec, err := goavro.NewCodec(schema)
	require.NoError(t, err, schema)
	native, rest, err := codec.NativeFromBinary(data)
	require.NoError(t, err, "%s %x", schema, data)
	require.Empty(t, rest)
	again, err := codec.BinaryFromNative(nil, native)
	require.NoError(t, err)
	require.Len(t, again, len(data), "%s\n%v", schema, native) // maps have no order
	back := reflect.New(row.Type().Elem())
	require.NoError(t, form.decode(form.own, again, back.UnsafePointer()))
	require.Equal(t, plainValue(row.Elem(), nil), plainValue(back.Elem(), nil), schema)
}
