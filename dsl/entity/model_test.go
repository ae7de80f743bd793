package entity

import (
	"reflect"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/windows"
)

func TestModel(t *testing.T) {
	type rate struct {
		_      struct{}    `ashi:"topic=rates,table"`
		Venue  int32       `ashi:"venue,key=2"`
		Pair   string      `ashi:"pair,key=1"`
		Bid    float64     `json:"b,omitempty"`
		Ask    float64     `ashi:",default=1.5" json:"a"`
		At     time.Time   `ashi:"at,timestamp,format=ms"`
		Day    time.Time   `ashi:"day,format='Mon, 02 Jan 2006'"`
		Note   string      `ashi:"note,maxlen=10,default=none"`
		Size   apd.Decimal `ashi:"size,precision=18,scale=2"`
		Plain  int
		Hidden int `ashi:"-"`
		Left   int `json:"-"`
		Format int `ashi:"format,default=1"` // with an option behind it a name is a name
		_      int
	}
	m, errs := For[rate]()
	require.Empty(t, errs)
	require.Equal(t, "rates", m.Topic)
	require.Equal(t, Table, m.Kind)
	require.Empty(t, m.Warnings)
	var names []string
	for _, c := range m.Columns {
		names = append(names, c.Name)
		require.Equal(t, m.Type.Field(c.Field).Offset, c.Offset)
	}
	require.Equal(t, []string{"venue", "pair", "b", "a", "at", "day", "note", "size", "Plain", "format"}, names)
	require.Equal(t, []int{1, 0}, m.Key)
	require.Equal(t, 4, m.Timestamp)

	day, ok := m.Column("day")
	require.True(t, ok)
	require.Equal(t, "Mon, 02 Jan 2006", day.Format)
	size, _ := m.Column("size")
	require.Equal(t, []int{18, 2}, []int{size.Precision, size.Scale})
	note, _ := m.Column("note")
	require.Equal(t, 10, note.MaxLen)
	v, ok := note.Default()
	require.True(t, ok)
	require.Equal(t, "none", v.Interface())
	_, ok = m.Column("nothing")
	require.False(t, ok)

	again, _ := Of(reflect.TypeFor[rate]())
	require.Same(t, m, again)
}

type Bare struct {
	Start, End time.Time
	Ticks      int64
}

type Generic[T any] struct{ Value T }

func TestTopicFromType(t *testing.T) {
	m, errs := For[Bare]()
	require.Empty(t, errs)
	require.Equal(t, "Bare", m.Topic)
	require.Equal(t, Unstated, m.Kind)
	require.Equal(t, -1, m.Timestamp)
	require.Equal(t, []string{`entity: entity.Bare: no topic in a tag; the type's name "Bare" is the topic`},
		m.Warnings)
	_, ok := m.EventTime(&Bare{Start: time.Now()})
	require.False(t, ok)
	_, err := m.AppendKey(nil, &Bare{})
	require.ErrorIs(t, err, ErrNoKey)
	require.ErrorIs(t, m.SetKey(&Bare{}, []byte("a")), ErrNoKey)

	m, errs = For[Generic[int]]()
	require.Empty(t, errs)
	require.Empty(t, m.Topic)
	require.Len(t, m.Warnings, 1)
}

// Wrong has every mistake that a tag can have; TestMistakes expects them all at once.
type Wrong struct {
	_ struct{}    `ashi:"topic=a/b,tabel"`
	_ struct{}    `ashi:"topic=ok,table,stream"`
	A string      `ashi:"a,kye"`
	B string      `ashi:"a"`
	C time.Time   `ashi:"c,timestamp"`
	D int64       `ashi:"d,timestamp"`
	E string      `ashi:"e,timestamp"`
	F bool        `ashi:"f,key=1"`
	G string      `ashi:"g,key=2"`
	H string      `ashi:"h,key=2"`
	I string      `ashi:"i,key"`
	J float64     `ashi:"j,precision=4"`
	K string      `ashi:"k,maxlen=x"`
	L int         `ashi:"l,maxlen=3"`
	M chan int    `ashi:"m"`
	N int         `ashi:"n,default=x"`
	O int         `ashi:"o,format=ms"`
	P time.Time   `ashi:"p,format=sometimes"`
	Q string      `ashi:"q,key=zero"`
	R int         `ashi:"-,key"`
	S int         `ashi:"key=1"`
	T time.Time   `ashi:"t,format='02 Jan"`
	U string      `ashi:"u,key=9,default=x"`
	V apd.Decimal `ashi:"v,precision=2,scale=3"`
	W apd.Decimal `ashi:"w,scale=3"`
	X string      `ashi:"x,maxlen=3,maxlen=4"`
	Y int         `ashi:"a'b"`
	Bare
	inner int `ashi:"inner"`
}

func TestMistakes(t *testing.T) {
	m, errs := For[Wrong]()
	require.Nil(t, m)
	var got []string
	for _, err := range errs {
		got = append(got, err.Error())
	}
	place := "entity: entity.Wrong"
	require.Equal(t, []string{
		place + `._: topic "a/b" has a '/'; letters, digits, dot, underscore and dash are allowed`,
		place + `._: unknown option "tabel"; did you mean "table"?`,
		place + `._: stream beside table: a topic is one of them`,
		place + `.A: unknown option "kye"; did you mean "key"?`,
		place + `.D: a second timestamp beside C`,
		place + `.E: a string cannot be the timestamp; time.Time, int64 and pointers to them can`,
		place + `.F: a bool cannot be a key; string, []byte, int, int32, int64 and float64 can`,
		place + `.J: precision on a float64; only an apd.Decimal has one`,
		place + `.K: maxlen=x: give a whole number from 1`,
		place + `.L: maxlen on an int; only a string and a []byte have one`,
		place + `.M: a chan int cannot be a column`,
		place + `.N: default=x: not an int`,
		place + `.O: format on an int; only a time.Time and an int64 have one`,
		place + `.P: format "sometimes" is none of rfc3339, ms, us, ns and no layout of package time`,
		place + `.Q: key=zero: the order of a key column is a number from 1`,
		place + `.R: an ignored field takes no options`,
		place + `.S: a tag starts with the column's name; write ",key=1" to keep the field's own`,
		place + `.T: option "format": a quote is not closed`,
		place + `.U: default on a key column: a record without its key is not a row`,
		place + `.V: scale=3 is over precision=2`,
		place + `.W: scale without precision`,
		place + `.X: option "maxlen" twice`,
		place + `.Y: column name "a'b" has a '\''`,
		place + `.Bare: an embedded struct is not flattened: name it in a tag, or ignore it with "-"`,
		place + `.inner: an unexported field cannot be a column`,
		place + `.B: column "a" is already the field A`,
		place + `.H: key=2 is already the field G`,
		place + `: key with a number beside key without one: give every key column its number, or none`,
	}, got)
	_ = Wrong{}.inner
}

func TestNotAStruct(t *testing.T) {
	for want, typ := range map[string]reflect.Type{
		"entity: no type": nil,
		"entity: int: an entity is a struct with columns":                   reflect.TypeFor[int](),
		"entity: *entity.Bare: a pointer is not an entity; use entity.Bare": reflect.TypeFor[*Bare](),
		"entity: time.Time: an entity is a struct with columns":             reflect.TypeFor[time.Time](),
		"entity: struct {}: no columns":                                     reflect.TypeFor[struct{}](),
	} {
		m, errs := Of(typ)
		require.Nil(t, m)
		require.Len(t, errs, 1)
		require.EqualError(t, errs[0], want)
	}
}

type loop []loop

func TestTypeThatContainsItself(t *testing.T) {
	type row struct {
		ID   string `ashi:"id,key"`
		Tree loop   `ashi:"tree"`
	}
	_, errs := For[row]()
	require.Empty(t, errs)
}

func TestEventTime(t *testing.T) {
	type clock struct {
		At time.Time `ashi:"at,timestamp"`
	}
	type clockPointer struct {
		At *time.Time `ashi:"at,timestamp"`
	}
	type millis struct {
		At int64 `ashi:"at,timestamp"`
	}
	type stamp struct {
		At *windows.Time `ashi:"at,timestamp"`
	}
	at := time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.FixedZone("x", 3600))
	ms := windows.At(at)
	zero := time.Time{}
	for _, c := range []struct {
		row  any
		want windows.Time
		ok   bool
	}{
		{&clock{at}, ms, true},
		{&clock{time.UnixMilli(0)}, 0, true},
		{&clock{time.Unix(-1, 999_999)}, -1000, true},
		{&clock{}, 0, false},
		{&clockPointer{&at}, ms, true},
		{&clockPointer{&zero}, 0, false},
		{&clockPointer{}, 0, false},
		{&millis{17}, 17, true},
		{&millis{0}, 0, true},
		{&millis{-5}, -5, true},
		{&stamp{&ms}, ms, true},
		{&stamp{}, 0, false},
	} {
		m, errs := Of(reflect.TypeOf(c.row).Elem())
		require.Empty(t, errs)
		got, ok := m.EventTime(c.row)
		require.Equal(t, c.ok, ok, "%+v", c.row)
		require.Equal(t, c.want, got, "%+v", c.row)
	}
	m, _ := For[clock]()
	_, ok := m.EventTime(&millis{5})
	require.False(t, ok, "a row of another type")
	row := clock{at}
	require.Zero(t, testing.AllocsPerRun(100, func() { m.EventTime(&row) }))
}

func TestTimeFormats(t *testing.T) {
	at := time.Date(2023, 11, 15, 0, 0, 0, 123_456_789, time.UTC)
	for format, want := range map[string]time.Time{
		Millis: at.Truncate(time.Millisecond), Micros: at.Truncate(time.Microsecond), Nanos: at,
	} {
		n, err := ToEpoch(format, at)
		require.NoError(t, err)
		require.Equal(t, want, FromEpoch(format, n))
		n, err = ToEpoch(format, time.Time{})
		require.NoError(t, err)
		require.Equal(t, time.Time{}, FromEpoch(format, n), format)
	}
	_, err := ToEpoch(Nanos, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
	require.Error(t, err)
	_, err = ToEpoch(Micros, time.Date(300_000, 1, 1, 0, 0, 0, 0, time.UTC))
	require.Error(t, err)

	for format, text := range map[string]string{
		RFC3339: "2023-11-15T01:00:00.123+01:00", Millis: "1700006400123",
		"2006-01-02 15:04:05.000": "2023-11-15 00:00:00.123",
	} {
		got, err := ParseTime(format, text)
		require.NoError(t, err)
		require.Equal(t, at.Truncate(time.Millisecond), got, format)
		_, err = ParseTime(format, "x")
		require.Error(t, err)
	}
	got, err := ParseTime("2006", "")
	require.NoError(t, err)
	require.True(t, got.IsZero())
}

// What a program says about a type outdoes its tags, and leaves the model of the tags as it was.
func TestOverrides(t *testing.T) {
	type trade struct {
		ID    string    `ashi:"id,key"`
		Pair  string    `ashi:"pair,maxlen=7"`
		Venue int32     `ashi:"venue"`
		Sent  time.Time `ashi:"sent,timestamp"`
		Done  int64     `ashi:"done"`
		Note  *string   `ashi:"note"`
	}
	m, errs := For[trade]()
	require.Empty(t, errs)
	byPair, err := m.WithKey("venue", "pair")
	require.NoError(t, err)
	byPair, err = byPair.WithTimestamp("done")
	require.NoError(t, err)
	row := trade{ID: "1", Pair: "EUR/USD", Venue: 2, Sent: time.UnixMilli(5), Done: 7}
	key, err := byPair.AppendKey(nil, &row)
	require.NoError(t, err)
	require.Equal(t, `{"venue":2,"pair":"EUR/USD"}`, string(key))
	at, _ := byPair.EventTime(&row)
	require.EqualValues(t, 7, at)
	var back trade
	require.NoError(t, byPair.SetKey(&back, key))
	require.Equal(t, trade{Pair: "EUR/USD", Venue: 2}, back)
	require.False(t, byPair.Columns[0].Key)
	require.True(t, byPair.Columns[1].Key)

	key, err = m.AppendKey(nil, &row)
	require.NoError(t, err)
	require.Equal(t, "1", string(key))
	at, _ = m.EventTime(&row)
	require.EqualValues(t, 5, at)

	// Keys are held to their maxlen.
	require.EqualError(t, byPair.SetKey(&back, []byte(`{"venue":2,"pair":"EURO/USD"}`)),
		`entity: key entity.trade, column "pair": has 8 characters, at most 7 are allowed`)

	for want, wrong := range map[string]func() (*Model, error){
		`entity: entity.trade: a key of no columns`: func() (*Model,
			error) {
			return m.WithKey()
		},
		`entity: entity.trade has no column "piar"; did you mean "pair"?`: func() (*Model,
			error) {
			return m.WithKey("piar")
		},
		`entity: entity.trade: column "id" is named twice`: func() (*Model, error) { return m.WithKey("id", "id") },
		`entity: entity.trade: column "sent" cannot be a key: it is a time.Time; string, []byte, int, int32, int64 and float64 can`: func() (*Model, error) {
			return m.WithKey("sent")
		},
		`entity: entity.trade: column "note" cannot be the timestamp: it is a *string; time.Time, int64 and pointers to them can`: func() (*Model, error) {
			return m.WithTimestamp("note")
		},
	} {
		_, err := wrong()
		require.EqualError(t, err, want)
	}
}
