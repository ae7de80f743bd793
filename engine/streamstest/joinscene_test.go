package streamstest

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/ashi-stream/ashi/engine/internal/murmur"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/windows"
)

// item is a row on either side of a join. F is the right key of a foreign join: empty if there is
// none.
type item struct {
	Key string `ashi:"key,key" json:"-"`
	V   string `ashi:"v" json:"v"`
	F   string `ashi:"f" json:"f"`
}

// fact is a record of an input. Its row is nil for a null value, its key nil for none.
type fact struct {
	side int // left or right
	key  *string
	at   int64
	row  *item
}

const left, right = 0, 1

// join is one kind of join over inputs of its own. Times are in milliseconds.
type join struct {
	form                 string // streams, lookup, tables or foreign; then inner, left, right or outer
	before, after, grace int64
	name                 string
	partitions           int32
	facts                [2][]fact
	topics               [2]string
	outputs              [2]string // by side: ours or theirs
}

func (j *join) kind() string { return strings.Fields(j.form)[0] }

// keep says of each side whether its rows are in the result without a partner.
func (j *join) keep() [2]bool {
	how := strings.Fields(j.form)[1]
	return [2]bool{how == "left" || how == "outer", how == "right" || how == "outer"}
}

// argument is the join as Joins.java wants it.
func (j *join) argument() string {
	return fmt.Sprintf("%s,%s,%s,%s,%d,%d,%d", j.form, j.topics[left], j.topics[right], j.outputs[theirs], j.before,
		j.after, j.grace)
}

// add puts a row of an empty key for none, and a null for an empty v, into an input.
func (j *join) add(side int, key, v, f string, at int64) {
	one := fact{side: side, at: at}
	if key != "" {
		one.key = &key
	}
	if v != "" {
		one.row = &item{Key: key, V: v, F: f}
	}
	j.facts[side] = append(j.facts[side], one)
}

// records is an input as it stands in its topic.
func (j *join) records(side int) (list []task.Output) {
	for _, f := range j.facts[side] {
		o := task.Output{Timestamp: windows.Time(f.at)}
		if f.key != nil {
			o.Key = []byte(*f.key)
		}
		if f.row != nil {
			o.Value = fmt.Appendf(nil, `{"v":%q,"f":%q}`, f.row.V, f.row.F)
		}
		list = append(list, o)
	}
	return list
}

// input is what one partition has of a side.
func (j *join) input(side int, partition int32) (list []fact) {
	for i, o := range j.records(side) {
		if kafka.Partition(o.Key, j.partitions) == partition {
			list = append(list, j.facts[side][i])
		}
	}
	return list
}

// forms are the joins that both sides have.
var forms = []string{"streams inner", "streams left", "streams right", "streams outer", "lookup inner", "lookup left",
	"tables inner", "tables left", "tables right", "tables outer", "foreign inner", "foreign left"}

// randomJoin has records out of order, late, after jumps, without value or key, on equal times
// within and across its topics, with deletions of rows that are there and of such that are not, and
// with keys that have no partner. A calm one has nothing in which Kafka Streams and ashi differ:
// see differentJoins.
func randomJoin(r *rand.Rand, form string, calm bool, records int) *join {
	j := &join{form: form, partitions: 2, before: grain * r.Int64N(8), after: grain * r.Int64N(8),
		grace: grain * r.Int64N(8), name: strings.ReplaceAll(form, " ", "-") + map[bool]string{true: "-calm",
			false: "-wild"}[calm]}
	if calm {
		j.before, j.after = j.before+grain, j.after+grain
	}
	streams := j.kind() == "streams"
	back := int64(30)
	if calm {
		back = min(j.before, j.after, j.grace)/grain + 1
	}
	at := int64(1_400_000_000_000) + grain
	present := [2]map[string]bool{{}, {}}
	keys := [2]int{6, 6}
	if j.kind() == "foreign" {
		keys[left] = 60
	}
	for i := range records {
		at += grain * r.Int64N(3)
		if r.IntN(60) == 0 {
			at += grain * r.Int64N(60)
		}
		side, when := r.IntN(2), at
		key, v := fmt.Sprintf("k%d", r.IntN(keys[side])), fmt.Sprintf("%c%d", "LR"[side], i)
		if r.IntN(3) == 0 {
			when -= grain * r.Int64N(back)
		}
		f := fmt.Sprintf("k%d", r.IntN(9)) // some without a partner
		switch n := r.IntN(50); {
		case n == 0:
			f = ""
		case n < 8 && !streams && (side == right || j.kind() != "lookup") && !(calm && !present[side][key]):
			v = ""
		case n == 8 && !calm:
			v = ""
		case n == 9 && !calm:
			key = ""
		}
		if calm && !streams && side == right {
			when += grain / 2
		}
		present[side][key] = v != ""
		j.add(side, key, v, f, when)
	}
	j.first()
	j.end(at + 24*3_600_000)
	return j
}

// first makes the left record of each partition the oldest: of the very first records Kafka Streams
// takes either one if they are equally old.
func (j *join) first() {
	for _, key := range onePerPartition("first", j.partitions) {
		j.facts[left] = append([]fact{{side: left, key: &key, at: 1_400_000_000_000 - 3_600_000,
			row: &item{Key: key, V: "L", F: key}}}, j.facts[left]...)
	}
}

// end adds a record to each partition that lets everything go out that waits.
func (j *join) end(at int64) {
	for _, key := range onePerPartition("end", j.partitions) {
		j.add(left, key, "Lend", key, at)
		j.add(right, key, "Rend", key, at+1)
	}
}

// onePerPartition is keys that are in partition 0, 1 and so on.
func onePerPartition(name string, partitions int32) (keys []string) {
	for i := 0; len(keys) < int(partitions); i++ {
		if key := fmt.Sprintf("%s%d", name, i); murmur.Partition([]byte(key), partitions) == int32(len(keys)) {
			keys = append(keys, key)
		}
	}
	return keys
}
