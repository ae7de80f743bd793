package task_test

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// tableCases is what each change of a table leads to in joins of the two: a row with its event
// time, x for a deletion, or nothing.
//
// The columns are: the table, the new row (x: deleted) and its event time; then inner, left, right
// and outer join ([TT1], [TT2], [Q7]).
const tableCases = `
left  a1 @10 | .       | a1- @10 | .       | a1- @10
left  a2 @5  | .       | a2- @5  | .       | a2- @5
right b1 @8  | a2b1 @8 | a2b1 @8 | a2b1 @8 | a2b1 @8
right b1 @8  | a2b1 @8 | a2b1 @8 | a2b1 @8 | a2b1 @8
left  a3 @20 | a3b1 @20 | a3b1 @20 | a3b1 @20 | a3b1 @20
right b2 @9  | a3b2 @20 | a3b2 @20 | a3b2 @20 | a3b2 @20
left  x  @21 | x @21   | x @21   | -b2 @21 | -b2 @21
left  x  @22 | .       | .       | .       | .
left  a4 @7  | a4b2 @9 | a4b2 @9 | a4b2 @9 | a4b2 @9
right x  @6  | x @7    | a4- @7  | x @7    | a4- @7
right x  @30 | .       | .       | .       | .
left  x  @31 | .       | x @31   | .       | x @31
right b3 @32 | .       | .       | -b3 @32 | -b3 @32
right x  @33 | .       | .       | x @33   | x @33
`

func casesPlan(t *testing.T) *topology.Plan {
	b := dsl.New("joins")
	left, right := dsl.Table[string, cell](b, "left"), dsl.Table[string, cell](b, "right")
	both := func(l, r *cell) (cell, error) {
		v := [2]string{"-", "-"}
		for i, c := range []*cell{l, r} {
			if c != nil {
				v[i] = c.V
			}
		}
		return cell{V: v[0] + v[1]}, nil
	}
	dsl.JoinTables(left, right, both).To("inner")
	dsl.LeftJoinTables(left, right, both).To("left-join")
	dsl.RightJoinTables(left, right, both).To("right-join")
	dsl.OuterJoinTables(left, right, both).To("outer")
	plan, err := b.Build()
	require.NoError(t, err)
	return plan
}

func TestTableJoinCases(t *testing.T) {
	d := enginetest.New(t, casesPlan(t))
	for line := range strings.SplitSeq(strings.TrimSpace(tableCases), "\n") {
		cols := strings.Split(line, "|")
		var side, v string
		var at windows.Time
		_, err := fmt.Sscanf(cols[0], "%s %s @%d", &side, &v, &at)
		require.NoError(t, err)
		rec := enginetest.Record{Key: []byte("k"), Timestamp: at}
		if v != "x" {
			rec.Value = fmt.Appendf(nil, `{"V":%q}`, v)
		}
		d.AddRaw(side, rec)
		for i, topic := range []string{"inner", "left-join", "right-join", "outer"} {
			got := "."
			for _, r := range d.ReadRaw(topic) {
				row := "x"
				if r.Value != nil {
					row = strings.Split(string(r.Value), `"`)[7]
				}
				got = fmt.Sprintf("%s @%d", row, r.Timestamp)
			}
			require.Equal(t, strings.TrimSpace(cols[i+1]), got, "%s: %s", line, topic)
		}
		d.Crash()
	}
}

// TestGoldenTables pins what outlives the process: rows of tables with and without a history, and
// changes of groups in an internal topic.
func TestGoldenTables(t *testing.T) {
	b := dsl.New("golden")
	plain := dsl.Table[string, cell](b, "plain")
	versioned := dsl.Table[string, cell](b, "versioned").Versioned(100 * time.Millisecond)
	joined := dsl.JoinTables(plain, versioned, func(l, r *cell) (cell, error) { return cell{l.K, l.V + r.V}, nil })
	groups := dsl.GroupTable(joined, func(c *cell) string { return c.V })
	dsl.Aggregate(groups, windows.Unbounded(),
		func(g dsl.Group[string, cell]) cellSums { return cellSums{N: aggregates.Count(g)} }).Changes()
	plan, err := b.Build()
	require.NoError(t, err)
	d := enginetest.New(t, plan)
	add := func(topic, v string, at windows.Time) {
		rec := enginetest.Record{Key: []byte("k"), Timestamp: at}
		if v != "" {
			rec.Value = fmt.Appendf(nil, `{"V":%q}`, v)
		}
		d.AddRaw(topic, rec)
	}
	row := func(op string) (value string) {
		for _, r := range d.Partition("golden--versioned-changelog", 0) {
			if strings.HasPrefix(hex.EncodeToString(r.Key), "01"+op) {
				value = hex.EncodeToString(r.Value)
			}
		}
		return value
	}
	at := func(ms int) string { return fmt.Sprintf("%016x", ms) }
	// its form, columns k and V
	internal := func(v string) string { return "00016b" + "01" + hex.EncodeToString([]byte(v)) }

	add("plain", "p", 300)
	require.Equal(t, at(300)+internal("p"), row("0102"))
	add("versioned", "v", 300)
	add("versioned", "", 250)
	add("versioned", "u", 200)
	require.Equal(t, at(300)+"06"+internal("v")+at(250)+"00"+at(200)+"06"+internal("u"), row("0100"))
	add("versioned", "w", 350)
	require.Equal(t, at(350)+"06"+internal("w")+at(300)+"06"+internal("v"), row("0100"),
		"the deletion at the horizon, and before it nothing")
	add("versioned", "", 249)
	require.EqualValues(t, 1, d.Dropped("late"))
	add("plain", "", 351)

	var changes []string
	for _, r := range d.Partition("golden--plain-regroup", 0) {
		changes = append(changes, fmt.Sprintf("%s %x @%d", r.Key, r.Value, r.Timestamp))
	}
	pair := func(v string) string {
		return "09" + hex.EncodeToString([]byte("{k s;V s}")) + "016b" + "02" + hex.EncodeToString([]byte(v))
	}
	require.Equal(t, []string{
		"pv 00" + "01" + pair("pv") + " @300",
		"pv 10" + pair("pv") + "00 @350",
		"pw 00" + "01" + pair("pw") + " @350",
		"pw 10" + pair("pw") + "00 @351",
	}, changes)
}

// A key that was deleted leaves nothing behind when the deletion is older than the history, over
// crashes too; one that came again stays.
func TestDeletionsLeaveTheHistory(t *testing.T) {
	for _, keep := range []bool{false, true} {
		b := dsl.New("ends")
		dsl.Table[string, cell](b, "in").Versioned(100 * time.Millisecond).To("out")
		plan, err := b.Build()
		require.NoError(t, err)
		d := enginetest.NewWith(t, plan, enginetest.Options{KeepStores: keep})
		add := func(key, v string, at windows.Time) {
			rec := enginetest.Record{Key: []byte(key), Timestamp: at}
			if v != "" {
				rec.Value = fmt.Appendf(nil, `{"V":%q}`, v)
			}
			d.AddRaw("in", rec)
		}
		left := func() (keys []string) {
			last := map[string][]byte{}
			for _, r := range d.Partition("ends--in-changelog", 0) {
				last[hex.EncodeToString(r.Key)] = r.Value
			}
			for k, v := range last {
				if strings.HasPrefix(k, "01") && v != nil {
					keys = append(keys, k)
				}
			}
			slices.Sort(keys)
			return keys
		}
		row := func(key string) string { return "010100" + fmt.Sprintf("%016x", 0) + hex.EncodeToString([]byte(key)) }
		end := func(at int, key string) string {
			return "010101" + fmt.Sprintf("%016x", at) + hex.EncodeToString([]byte(key))
		}
		add("a", "1", 100)
		add("b", "1", 100)
		add("a", "", 200)
		add("b", "", 190)
		add("c", "", 150)
		require.Equal(t, []string{row("a"), row("b"), row("c"), end(150, "c"), end(190, "b"), end(200, "a")}, left())
		d.Crash()
		add("b", "2", 250)
		require.Equal(t, []string{row("a"), row("b"), end(190, "b"), end(200, "a")}, left())
		add("b", "3", 296)
		d.ReadRaw("out")
		add("a", "old", 199) // not the newest: the deletion is known still
		require.Empty(t, d.ReadRaw("out"))
		d.Crash()
		add("d", "1", 300)
		require.Equal(t, []string{row("b"), row("d")}, left())
	}
}
