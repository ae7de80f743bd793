package dsl_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
)

// The last row of each key, kept over crashes; a deletion of what is not there goes no further.
func TestTableKeepsTheLastRow(t *testing.T) {
	b := dsl.New("shop")
	limits := dsl.Table[string, order](b, "limits")
	limits.To("copy")
	limits.ToStream().To("rows")
	plan, err := b.Build()
	require.NoError(t, err)
	for name, o := range map[string]enginetest.Options{"log": {}, "store": {KeepStores: true},
		"little memory": {Memory: 1, KeepStores: true}} {
		t.Run(name, func(t *testing.T) {
			d := enginetest.NewWith(t, plan, o)
			enginetest.Add(d, limits, order{"1", "ann", 5, noon}, order{"2", "bob", 5, noon},
				order{"1", "ann", 6, noon.Add(-time.Hour)})
			d.Crash()
			d.AddRaw("limits", enginetest.Record{Key: []byte("1")}, enginetest.Record{Key: []byte("1")},
				enginetest.Record{Key: []byte("3")})
			d.Crash()
			copied := d.ReadRaw("copy")
			require.Len(t, copied, 4)
			require.Nil(t, copied[3].Value)
			require.Len(t, d.ReadRaw("rows"), 3)
			require.Contains(t, string(copied[2].Value), `"Amount":6`, "the last one counts, not the newest [T7]")
		})
	}
}

func TestToTable(t *testing.T) {
	b := dsl.New("shop")
	orders := dsl.Stream[order](b, "orders")
	last := dsl.ToTable[string](dsl.PartitionBy(orders, func(o *order) string { return o.Customer }))
	last.To("last")
	plan, err := b.Build()
	require.NoError(t, err)
	require.Len(t, plan.Subs, 2)
	d := enginetest.NewWith(t, plan, enginetest.Options{Partitions: 2})
	enginetest.Add(d, orders, order{"1", "ann", 5, noon}, order{"2", "ann", 6, noon})
	rows := d.ReadRaw("last")
	require.Len(t, rows, 2)
	require.Equal(t, "ann", string(rows[1].Key))
}
