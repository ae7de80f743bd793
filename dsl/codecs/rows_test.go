package codecs

import (
	"math/rand/v2"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/ashi-stream/ashi/windows"
)

// tick is the row of the benchmarks.
type tick struct {
	Pair string    `ashi:"pair,key"`
	Bid  float64   `ashi:"bid"`
	Ask  float64   `ashi:"ask"`
	At   time.Time `ashi:"at,timestamp,format=ms"`
}

const tickJSON = `{"pair":"K0000001","bid":1.38676,"ask":1.38686,"at":1700006400000}`

var tickRow = tick{"K0000001", 1.38676, 1.38686, time.UnixMilli(1700006400000).UTC()}

type bar struct {
	Pair                   string    `ashi:"pair,key"`
	Start                  time.Time `ashi:"start,format=ms"`
	End                    time.Time `ashi:"end,format=ms"`
	Open, High, Low, Close float64
	Ticks                  int64
}

var barRow = bar{"K0000001", time.UnixMilli(1700006400000).UTC(), time.UnixMilli(1700006460000).UTC(), 1.38676, 1.38686,
	1.38601, 1.38612, 812}

type side string

// scalars has every column that both codecs carry, in an order that leaves holes between the
// fields.
type scalars struct {
	B   bool
	I8  int8
	I64 int64
	I16 int16
	I32 int32
	U8  uint8
	U16 uint16
	//lint:ignore U1000 a field that is no column, between columns
	memo string
	U32  uint32
	U64  uint64
	I    int
	U    uint
	F32  float32
	F64  float64
	S    string
	Side side
	Raw  []byte
	TMs  time.Time `ashi:",format=ms"`
	TUs  time.Time `ashi:",format=us"`
	TNs  time.Time `ashi:",format=ns"`
	W    windows.Time
	D    time.Duration
	PB   *bool
	PF   *float64
	PI   *int
	PU   *uint16
	PS   *string
	PT   *time.Time `ashi:",format=us"`
	PD   *time.Duration
}

func randomText(r *rand.Rand) string {
	runes := make([]rune, r.IntN(8))
	for i := range runes {
		runes[i] = []rune{'a', '"', '\\', 'é', '\n', 0, '<', '😀', '\u2028', 0xfffd}[r.IntN(10)]
	}
	return string(runes)
}

func maybe[T any](r *rand.Rand, v T) *T {
	if r.IntN(3) == 0 {
		return nil
	}
	return &v
}

func randomTime(r *rand.Rand, unit time.Duration) time.Time {
	if r.IntN(8) == 0 {
		return time.Time{}
	}
	return time.Unix(r.Int64N(8e9)-1e9, r.Int64N(1e9)).UTC().Truncate(unit)
}

func randomScalars(r *rand.Rand) scalars {
	s := scalars{
		B: r.IntN(2) == 0, I8: int8(r.Uint32()), I16: int16(r.Uint32()), I32: int32(r.Uint32()), I64: int64(r.Uint64()),
		U8: uint8(r.Uint32()), U16: uint16(r.Uint32()), U32: r.Uint32(), U64: r.Uint64(), I: int(r.Uint64()),
		U: uint(r.Uint64()), F32: float32(r.NormFloat64()), F64: r.NormFloat64() * 1e-9, S: randomText(r),
		Side: side(randomText(r)), TMs: randomTime(r, time.Millisecond), TUs: randomTime(r, time.Microsecond),
		TNs: randomTime(r, 1), W: windows.Time(r.Uint64()), D: time.Duration(r.Uint64()),
		PB: maybe(r, r.IntN(2) == 0), PF: maybe(r, r.NormFloat64()), PI: maybe(r, int(r.Uint64())),
		PU: maybe(r, uint16(r.Uint32())), PS: maybe(r, randomText(r)), PT: maybe(r, randomTime(r, time.Microsecond)),
		PD: maybe(r, time.Duration(r.Uint64())),
	}
	if n := r.IntN(5); n > 0 {
		s.Raw = make([]byte, n)
		for i := range s.Raw {
			s.Raw[i] = byte(r.Uint32())
		}
	}
	return s
}

// nested has what only JSON carries.
type nested struct {
	ID    string            `ashi:"id,key"`
	List  []float64         `ashi:"list"`
	Names map[string]string `ashi:"names"`
	Leg   leg               `ashi:"leg"`
	Legs  []leg             `ashi:"legs"`
	Next  *leg              `ashi:"next"`
	Four  [4]int            `ashi:"four"`
	Any   any               `ashi:"any"`
	At    time.Time         `ashi:"at"`
	Day   time.Time         `ashi:"day,format='Mon, 02 Jan 2006'"`
	PDay  *time.Time        `ashi:"pday,format=2006-01-02"`
	Size  apd.Decimal       `ashi:"size,precision=6,scale=2"`
	PSize *apd.Decimal      `ashi:"psize"`
}

type leg struct {
	Pair string `json:"pair"`
	Rate *leg   `json:"rate,omitempty"`
}
