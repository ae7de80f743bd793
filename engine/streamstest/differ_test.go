package streamstest

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// differentJoin is an input of one partition of which Kafka Streams and ashi do not make the same.
type differentJoin struct {
	join
	theirs, ours []string
}

// differentJoins are those that are known: docs/semantics.md has the reasons. Rows of other keys
// move stream time.
func differentJoins() (list []*differentJoin) {
	add := func(name, form string, before, after, grace int64, fill func(*join), theirs, ours []string) {
		d := &differentJoin{join{name: name, form: form, before: before, after: after, grace: grace, partitions: 1},
			theirs, ours}
		d.add(left, "first", "L0", "first", 1)
		fill(&d.join)
		d.end(1000)
		list = append(list, d)
	}
	add("alone-before-its-grace-is-over", "streams left", 5, 5, 20, func(j *join) {
		j.add(left, "x", "L1", "", 20)
		j.add(left, "k", "L2", "", 10)
		j.add(right, "x", "R1", "", 21)
		j.add(right, "k", "R2", "", 12)
	}, []string{"k=L2+null@10", "k=L2+R2@12"}, []string{"k=L2+R2@12"})
	add("matched-after-it-went-alone", "streams left", 5, 5, 5, func(j *join) {
		j.add(left, "k", "L1", "", 10)
		j.add(right, "x", "R1", "", 21)
		j.add(right, "k", "R2", "", 12)
	}, []string{"k=L1+null@10", "k=L1+R2@12"}, []string{"k=L1+null@10"})
	add("late-joined", "streams inner", 5, 5, 5, func(j *join) {
		j.add(left, "k", "L1", "", 10)
		j.add(right, "x", "R1", "", 40)
		j.add(right, "k", "R2", "", 10)
	}, []string{"k=L1+R2@10"}, nil)
	add("hidden-within-grace", "streams inner", 0, 10, 5, func(j *join) {
		j.add(left, "k", "L1", "", 10)
		j.add(left, "x", "L2", "", 25)
		j.add(right, "x", "R0", "", 24)
		j.add(right, "x", "R1", "", 25)
		j.add(right, "k", "R2", "", 20)
	}, nil, []string{"k=L1+R2@20"})
	add("one-time", "lookup inner", 0, 0, 0, func(j *join) {
		j.add(right, "x", "R1", "", 5)
		j.add(left, "k", "L1", "", 10)
		j.add(right, "k", "R2", "", 10)
	}, nil, []string{"k=L1+R2@10"})
	add("nothing-to-delete", "tables left", 0, 0, 0, func(j *join) {
		j.add(left, "k", "L1", "", 10)
		j.add(right, "k", "", "", 11)
		j.add(right, "k", "R1", "", 12)
		j.add(left, "k", "", "", 13)
		j.add(left, "k", "", "", 14)
	}, []string{"k=L1+null@10", "k=L1+null@11", "k=L1+R1@12", "k=@13", "k=@14"}, []string{"k=L1+null@10", "k=L1+R1@12",
		"k=@13"})
	return list
}

// between is results without those of the first and the last record.
func between(all []result) (s []string) {
	all = slices.DeleteFunc(slices.Clone(all), func(r result) bool {
		return r.key == "first" ||
			strings.HasPrefix(r.key, "end") || r.key == "x"
	})
	return lines(all)
}

func TestDifferentJoins(t *testing.T) {
	for _, d := range differentJoins() {
		require.Equal(t, d.theirs, between(d.expect(theirs)), "%s: Kafka Streams", d.name)
		require.Equal(t, d.ours, between(d.expect(ours)), "%s: ashi", d.name)
	}
}
