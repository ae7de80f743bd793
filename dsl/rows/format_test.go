package rows_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/dsl/rows"
	"github.com/ashi-stream/ashi/topology"
)

type leg struct {
	Price apd.Decimal `json:"px"`
	Size  *int64      `json:"size"`
}

type order struct {
	ID     string `ashi:"id,key"`
	At     time.Time
	Amount float64
	Note   []byte
	Legs   []leg
	Tags   map[string]int8
	Memo   string `ashi:"-"`
}

func someOrder() order {
	size := int64(7)
	return order{ID: "a", At: time.Unix(1_700_000_000, 1).UTC(), Amount: 1.5, Note: []byte{},
		Legs: []leg{{Price: *apd.New(-125, -2), Size: &size}}, Tags: map[string]int8{"y": -1, "x": 2}, Memo: "m"}
}

func wireOf[T any](f *rows.Format[T]) (func(any, []byte) ([]byte, error), func([]byte) (any, error)) {
	r := f.Rows()
	return r.OpenWire()
}

// The bytes outlive the process that wrote them.
func TestGoldenRows(t *testing.T) {
	f, err := rows.Of[order]()
	require.NoError(t, err)
	require.Equal(t, "columns", f.Name())
	require.Equal(t, "{id s;At t;Amount f8;Note y;Legs []{px d;size *i8};Tags <s i1>;-Memo s}", f.Form())
	row := someOrder()
	b, err := f.Append(nil, &row)
	require.NoError(t, err)
	require.Equal(t, "0161"+"000000006553f1000000000100"+"3ff8000000000000"+"01"+"02"+"0803017d"+"010000000000000007"+
		"03"+"017802"+"0179ff"+"016d", hex.EncodeToString(b))
	var back order
	require.NoError(t, f.Decode(b, &back))
	require.Equal(t, row, back)

	encode, decode := wireOf(f)
	wire, err := encode(&row, nil)
	require.NoError(t, err)
	require.Equal(t, string(rune(len(f.Form())))+f.Form()+string(b), string(wire))
	read, err := decode(wire)
	require.NoError(t, err)
	require.Equal(t, &row, read)
}

// A zone that the machine knows, and one that has a name only, show the same clock on the wall.
func TestTimesKeepTheirZone(t *testing.T) {
	type row struct{ At time.Time }
	f, err := rows.Of[row]()
	require.NoError(t, err)
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	for _, at := range []time.Time{{}, time.Date(2026, 7, 1, 9, 0, 0, 123456789, berlin), time.Date(9999, 1, 1, 0, 0, 0,
		0, time.FixedZone("mars", 3601)),
		time.Date(-5, 1, 1, 0, 0, 0, 0, time.FixedZone("", -60))} {
		b, err := f.Append(nil, &row{at})
		require.NoError(t, err)
		var back row
		require.NoError(t, f.Decode(b, &back))
		require.Equal(t, at.String(), back.At.String())
		require.True(t, at.Equal(back.At))
	}
}

type evolved struct {
	Legs    []leg2
	Amount  *float64
	Account string `ashi:",default=house"`
	ID      string `ashi:"id,key"`
}

type leg2 struct {
	Size  int64 `json:"size"`
	Venue string
}

func TestColumnsAreFoundByName(t *testing.T) {
	was, err := rows.Of[order]()
	require.NoError(t, err)
	is, err := rows.Of[evolved]()
	require.NoError(t, err)
	row := someOrder()
	encode, _ := wireOf(was)
	b, err := encode(&row, nil)
	require.NoError(t, err)
	_, decode := wireOf(is)
	for range 2 { // the second goes by what is remembered of the first
		got, err := decode(b)
		require.NoError(t, err)
		require.Equal(t, &evolved{Legs: []leg2{{Size: 7}}, Amount: &row.Amount, Account: "house", ID: "a"}, got)
	}
}

// What a column cannot become is an error with its name, and all of them are named.
func TestColumnsThatCannotBeRead(t *testing.T) {
	type trade struct {
		ID     string
		Volume int64
		Legs   []leg
		Side   []int32
	}
	type changed struct {
		ID     string
		Volume string
		Legs   []struct {
			Price float64 `json:"px"`
		}
		Side []int16
	}
	was, err := rows.Of[trade]()
	require.NoError(t, err)
	is, err := rows.Of[changed]()
	require.NoError(t, err)
	_, err = is.From(was.Form())
	require.EqualError(t, err,
		"column Volume: was int64, is string; column Legs.px: was decimal, is float64; column Side: was int32, is int16")
	encode, _ := wireOf(was)
	_, decode := wireOf(is)
	b, err := encode(&trade{}, nil)
	require.NoError(t, err)
	_, err = decode(b)
	require.ErrorIs(t, err, topology.ErrForm)
	for cut := range len(b) - 20 {
		_, err := decode(b[:cut])
		require.Error(t, err)
	}
	for _, text := range []string{"", "{", "{a s", "{a s;}", "i3", "[]", "[x]s", "<s>", "^1", "{a ^2}", `unknown("x")`,
		"{a s}x", "[99999999999999999999]s"} {
		_, err := is.From(text)
		require.Error(t, err, text)
	}
}

type hidden struct {
	ID   string
	note string
}

func (h hidden) Note() string { return h.note }

type lossy struct{ level int }

func (l lossy) MarshalText() ([]byte, error) { return fmt.Append(nil, l.level > 0), nil }

type oneWay struct{ n int }

func (o *oneWay) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &o.n) }
func (o oneWay) N() int                        { return o.n }

type broken struct{ n int }

func (b broken) MarshalText() ([]byte, error) { return fmt.Append(nil, b.n+1), nil }
func (b *broken) UnmarshalText(text []byte) error {
	_, err := fmt.Sscan(string(text), &b.n)
	return err
}

type list []list

// Every field that would be lost is named.
func TestTypesThatWouldLoseSomething(t *testing.T) {
	type bad struct {
		Any     any
		F       func()
		C       chan int
		In      struct{ H []hidden }
		L       lossy
		O       oneWay
		Broken  broken
		Mutex   sync.Mutex
		ByPoint map[*int]string
		List    list
	}
	_, err := rows.Of[bad]()
	require.Error(t, err)
	for _, want := range []string{"bad.Any: a value of type interface {} cannot be written", "bad.F: ", "bad.C: ",
		"bad.In.H.note: the field is not exported", "bad.L.level: ",
		"bad.O: type rows_test.oneWay has UnmarshalJSON and nothing that writes what it reads",
		"bad.Broken: type rows_test.broken does not come back as it went in", "bad.Mutex.",
		"bad.ByPoint: the keys of a map are pointers", "bad.List: type rows_test.list contains itself"} {
		require.ErrorContains(t, err, want)
	}
}

type tree struct {
	Name     string
	Children []tree
	Next     *tree
	Size     big.Float
}

func TestTypesThatContainThemselves(t *testing.T) {
	f, err := rows.Of[tree]()
	require.NoError(t, err)
	require.Equal(t, `{Name s;Children []^1;Next *^1;Size gob("math/big.Float")}`, f.Form())
	row := tree{Name: "a", Children: []tree{{Name: "b", Children: []tree{{Name: "c"}}}}, Next: &tree{Name: "d"}}
	b, err := f.Append(nil, &row)
	require.NoError(t, err)
	var back tree
	require.NoError(t, f.Decode(b, &back))
	require.Equal(t, "c", back.Children[0].Children[0].Name)
	require.Equal(t, "d", back.Next.Name)

	type trunk struct {
		Next *struct {
			Name string
			Next *tree
		}
	}
	other, err := rows.Of[trunk]()
	require.NoError(t, err)
	decode, err := other.From(f.Form())
	require.NoError(t, err)
	var next trunk
	require.NoError(t, decode(b, &next))
	require.Equal(t, "d", next.Next.Name)

	row.Next = &row
	_, err = f.Append(nil, &row)
	require.ErrorContains(t, err, "contains itself")
}

func TestProtobufStaysProtobuf(t *testing.T) {
	f, err := rows.Of[structpb.Value]() // a oneof
	require.NoError(t, err)
	require.Equal(t, `proto("google.protobuf.Value")`, f.Form())
	require.Equal(t, "protobuf", f.Name())
	b, err := f.Append(nil, structpb.NewStringValue("x"))
	require.NoError(t, err)
	var back structpb.Value
	require.NoError(t, f.Decode(b, &back))
	require.Equal(t, "x", back.GetStringValue())

	unknown := []byte{8, 1, 16, 7, 72, 42} // fields that Int64Value does not have
	var v wrapperspb.Int64Value
	require.NoError(t, proto.Unmarshal(unknown, &v))
	type around struct{ Message *wrapperspb.Int64Value }
	in, err := rows.Of[around]()
	require.NoError(t, err)
	b, err = in.Append(nil, &around{&v})
	require.NoError(t, err)
	var out around
	require.NoError(t, in.Decode(b, &out))
	again, err := proto.Marshal(out.Message)
	require.NoError(t, err)
	require.Equal(t, unknown, again)
}

// text is a codec that knows what no other does.
type text struct{}

func (text) Name() string { return "text" }
func (text) Encode(dst []byte, v *hidden) ([]byte, error) {
	return append(dst, v.ID+"|"+v.note...), nil
}
func (text) Decode(data []byte, v *hidden) error { v.ID, v.note = "", string(data); return nil }

func TestFormatOfACodec(t *testing.T) {
	f, err := rows.For[hidden](text{}, false)
	require.NoError(t, err)
	require.Equal(t, "codec text", f.Form())
	encode, _ := wireOf(f)
	b, err := encode(&hidden{"a", "b"}, nil)
	require.NoError(t, err)
	require.Equal(t, "\x0acodec text"+"a|b", string(b))

	read, err := rows.For[hidden](codecs.JSON[hidden](), false)
	require.NoError(t, err, "JSON has left note as it was")
	require.Equal(t, "{ID s}", read.Form())
	_, err = rows.For[hidden](codecs.JSON[hidden](), true)
	require.ErrorContains(t, err, "note")
	_, err = read.From(f.Form())
	require.EqualError(t, err, "codec: was text, is columns")
	require.True(t, f.Same(f))
	require.False(t, f.Same(read))

	type open struct{ Any any }
	json, err := rows.For[open](codecs.JSON[open](), false)
	require.NoError(t, err)
	require.Equal(t, "codec json", json.Form())
	_, err = rows.For[open](codecs.JSON[open](), true)
	require.ErrorContains(t, err, "open.Any")
	registered, err := rows.For[order](codecs.Registered(nil, codecs.JSON[order]()), false)
	require.NoError(t, err)
	require.Equal(t, "{id s;At t;Amount f8;Note y;Legs []{px d;size *i8};Tags <s i1>}", registered.Form(),
		"JSON leaves Memo out")
}

func TestRowsAllocateNothing(t *testing.T) {
	type tick struct {
		Pair     string
		At       time.Time
		Bid, Ask float64
		Live     bool
		N        int32
	}
	f, err := rows.Of[tick]()
	require.NoError(t, err)
	encode, decode := wireOf(f)
	row, buf := tick{"EURUSD", time.Unix(1, 2).UTC(), 1, 2, true, 3}, make([]byte, 0, 200)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		b, err := encode(&row, buf)
		if err == nil {
			_, err = decode(b)
		}
		if err != nil {
			t.Fail()
		}
	}))
}

func BenchmarkRow(b *testing.B) {
	type tick struct {
		Pair     string
		At       time.Time
		Bid, Ask float64
	}
	f, err := rows.Of[tick]()
	require.NoError(b, err)
	row := tick{"EURUSD", time.Unix(1, 2).UTC(), 1, 2}
	encode, decode := wireOf(f)
	var buf []byte
	b.Run("encode", func(b *testing.B) {
		for b.Loop() {
			buf, _ = f.Append(buf[:0], &row)
		}
	})
	b.Run("decode", func(b *testing.B) {
		for b.Loop() {
			_ = f.Decode(buf, &row)
		}
	})
	b.Run("wire", func(b *testing.B) {
		for b.Loop() {
			buf, _ = encode(&row, buf[:0])
			_, _ = decode(buf)
		}
	})
}

// State and internal topics have rows of a relaxed type as they are: they are made to fit, and
// counted, where they are emitted.
func TestLimitsAreForOutputs(t *testing.T) {
	type note struct {
		_    struct{} `ashi:"relaxed"`
		Text string   `ashi:",maxlen=2"`
	}
	f, err := rows.Of[note]()
	require.NoError(t, err)
	b, err := f.Append(nil, &note{Text: "abc"})
	require.NoError(t, err)
	var back note
	require.NoError(t, f.Decode(b, &back))
	require.Equal(t, "abc", back.Text)
}
