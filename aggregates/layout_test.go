package aggregates_test

import (
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"github.com/cockroachdb/apd/v3"
	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
)

// The bytes of every accumulator outlive the process: if one of these changes, rows that are stored
// cannot be read, and its signature has to change too. Each state holds the same two rows, the
// second of them with nulls. * is of a program that merges, - of one that undoes.
func TestLayoutsArePinned(t *testing.T) {
	needs := map[byte]aggregates.Needs{'*': merges, '-': undoes}
	f1, n1, s1, d1 := 1.5, int32(3), "né", *apd.New(150, -2)
	two := []quote{
		{f: 1.5, x: math.NaN(), n: 2, s: "né", d: d1, ok: true, pf: &f1, pn: &n1, ps: &s1, pd: &d1,
			list: []int64{1, 2}},
		{f: -1, x: math.Inf(1), n: 5, s: "a", d: *apd.New(1, 1), list: []int64{3}},
	}
	for _, c := range []struct {
		signature, bytes string
		project          func(rows)
	}{
		{"count", "0200000000000000",
			func(g rows) { aggregates.Count(g) }},
		{"countof", "0100000000000000",
			func(g rows) { aggregates.CountOf(g, pf) }},
		{"sum float", "000000000000e03f",
			func(g rows) { aggregates.Sum(g, f) }},
		{"sum int", "0700000000000000",
			func(g rows) { aggregates.Sum(g, n) }},
		{"sum decimal", "0104312e3530",
			func(g rows) { aggregates.Sum(g, pd) }},
		{"sum int", "0600000000000000",
			func(g rows) { aggregates.SumList(g, list) }},
		{"sum decimal(10,3)", "0631312e353030",
			func(g rows) { aggregates.SumDecimal(g, 10, 3, d) }},
		{"avg float", "000000000000e03f0200000000000000",
			func(g rows) { aggregates.Avg(g, f) }},
		{"avg int", "070000000000000000000000000000000200000000000000",
			func(g rows) { aggregates.Avg(g, n) }},
		{"avg uint", "000000000000000000000000000000000200000000000000",
			func(g rows) { aggregates.Avg(g, u) }},
		{"avg decimal", "010000000000000004312e3530",
			func(g rows) { aggregates.Avg(g, pd) }},
		{"min float", "000000000000f0bf01",
			func(g rows) { aggregates.Min(g, f) }},
		{"max text", "01036ec3a9",
			func(g rows) { aggregates.Max(g, ps) }},
		{"*max float", "000000000000f83f01",
			func(g rows) { aggregates.Max(g, f) }},
		{"earliest float", "000000000000f83f01",
			func(g rows) { aggregates.EarliestByOffset(g, f) }},
		{"*earliest float seq", "000000000000f83f0140420f0000000000",
			func(g rows) { aggregates.EarliestByOffset(g, f) }},
		{"*earliest text seq", "0140420f0000000000036ec3a9",
			func(g rows) { aggregates.EarliestByOffset(g, s) }},
		{"latest bool", "000000000000000001",
			func(g rows) { aggregates.LatestByOffset(g, ok) }},
		{"*latest decimal seq", "0141420f00000000000431452b31",
			func(g rows) { aggregates.LatestByOffset(g, d) }},
		{"latest float nulls", "000000000000000002",
			func(g rows) { aggregates.LatestByOffsetWithNulls(g, pf) }},
		{"*latest text nulls seq", "0241420f000000000000",
			func(g rows) { aggregates.LatestByOffsetWithNulls(g, ps) }},
		{"*earliest int nulls seq", "03000000000000000140420f0000000000",
			func(g rows) { aggregates.EarliestByOffsetWithNulls(g, pn) }},
		{"first float", "000000000000f83f0140420f0000000000",
			func(g rows) { aggregates.FirstByTime(g, f) }},
		{"*last text seq", "0141420f000000000041420f00000000000161",
			func(g rows) { aggregates.LastByTime(g, s) }},
		{"timeofmin float", "000000000000f0bf0141420f0000000000",
			func(g rows) { aggregates.TimeOfMin(g, f) }},
		{"timeofmax text", "0140420f0000000000036ec3a9",
			func(g rows) { aggregates.TimeOfMax(g, s) }},
		{"moments float", "0200000000000010000000000000f83f00000000000004c00000000000000940",
			func(g rows) { aggregates.VarianceSample(g, f) }},
		{"moments int", "0100000000000010030000000000000000000000000000000000000000000000",
			func(g rows) { aggregates.StdDevPopulation(g, pn) }},
		{"correlation float int", "0200000000000050" +
			"000000000000f83f00000000000004c00000000000000940" +
			"0200000000000000000000000000084000000000000012400000000000000ec0",
			func(g rows) { aggregates.Correlation(g, f, n) }},
		{"weighted float int", "00000000000000c00000000000001c40",
			func(g rows) { aggregates.WeightedMean(g, f, n) }},
		{"-sum int", "0700000000000000",
			func(g rows) { aggregates.Sum(g, n) }},
		{"-exact sum float", "0604048f028000",
			func(g rows) { aggregates.Sum(g, f) }},
		{"-exact avg float", "0604048f028000",
			func(g rows) { aggregates.Avg(g, f) }},
		{"-exact sum float", "050401020200",
			func(g rows) { aggregates.Sum(g, x) }},
		{"-exact sum decimal", "0902030202020301047e",
			func(g rows) { aggregates.Sum(g, d) }},
		{"-exact avg decimal", "06010302030196",
			func(g rows) { aggregates.Avg(g, pd) }},
		{"-exact moments float", "0b04048f028000048f024003",
			func(g rows) { aggregates.VarianceSample(g, f) }},
		{"-exact correlation float int", "1704048f02800002900207048f0240030290021d029002fe",
			func(g rows) { aggregates.Correlation(g, f, n) }},
		{"-exact weighted float int", "0904029002fe02900207",
			func(g rows) { aggregates.WeightedMean(g, f, n) }},
		{"earliest(2) float", "1102000000000000f83f000000000000f0bf",
			func(g rows) { aggregates.EarliestByOffsetN(g, 2, f) }},
		{"*latest(2) text seq", "0b02046ec3a980897a026102",
			func(g rows) { aggregates.LatestByOffsetN(g, 2, s) }},
		{"*latest(3) float nulls seq", "0f0200000000000000f83f80897a0102",
			func(g rows) { aggregates.LatestByOffsetNWithNulls(g, 3, pf) }},
		{"earliest(3) decimal nulls", "070205312e353000",
			func(g rows) { aggregates.EarliestByOffsetNWithNulls(g, 3, pd) }},
		{"collectlist text nulls", "0602046ec3a900",
			func(g rows) { aggregates.CollectList(g, aggregates.Unlimited, ps) }},
		{"*collectset(100) float nulls seq", "0f0200000000000000f83f80897a0102",
			func(g rows) { aggregates.CollectSet(g, 100, pf) }},
		{"countdistinct float", "1102000000000000f83f000000000000f0bf",
			func(g rows) { aggregates.CountDistinct(g, f) }},
		{"countdistinct decimal", "0a0204312e350531452b31",
			func(g rows) { aggregates.CountDistinct(g, d) }},
		{"countdistinct text", "07020261046ec3a9",
			func(g rows) { aggregates.CountDistinct(g, s) }},
		{"countdistinctapprox float", "1c020e0001000000000000000202b0d3e400000008f8f0a50cecb69d09",
			func(g rows) { aggregates.CountDistinctApprox(g, f) }},
		{"countdistinctapprox text", "1c020e00010000000000000002036493c000000008ccbfd410f4e7bd0a",
			func(g rows) { aggregates.CountDistinctApprox(g, s) }},
		{"topk(2) float", "1102000000000000f83f000000000000f0bf",
			func(g rows) { aggregates.TopK(g, 2, f) }},
		{"topkdistinct(2) decimal", "0b020531452b3105312e3530",
			func(g rows) { aggregates.TopKDistinct(g, 2, d) }},
		{"*topkby(2) int seq text nulls", "1c02050000000000000082897a00020000000000000080897a046ec3a9",
			func(g rows) { aggregates.TopKBy(g, 2, n, ps) }},
		{"histogram text nulls", "08020001046ec3a901",
			func(g rows) { aggregates.Histogram(g, ps) }},
		{"attr float nulls", "0d02010100000000000000f83f01",
			func(g rows) { aggregates.Attr(g, pf) }},
		{"quantile float", "0700012801010001",
			func(g rows) { aggregates.Quantile(g, 0.5, f) }},
		{"custom product int64", "02016e",
			func(g rows) { aggregates.Custom(g, product, n) }},
		{"custom letters map[int32]bool", "04016ec3a9",
			func(g rows) { aggregates.Custom(g, letters, ps) }},
	} {
		b := over(t, needs[c.signature[0]], func(g rows) int { c.project(g); return 0 })
		s := b.of(1_000_000, two...)
		stored, err := b.program.Append(nil, s)
		require.NoError(t, err)
		require.Equal(t, strings.TrimLeft(c.signature, "*-"), b.program.Signature())
		require.Equal(t, c.bytes, hex.EncodeToString(stored), c.signature)
	}
}
