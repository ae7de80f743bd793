package engine_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

// A foreign key join of topics with different numbers of partitions, over a broker, with a restart
// that loses all state and one that does not: orders go to the partitions of one and answers to
// those of the other.
func TestJoinForeign(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	c := kafkatest.Start(t)
	b := dsl.New(c.Name("shop"))
	sales := dsl.Table[string, sale](b, c.Topic(t, "sales", 3))
	people := dsl.Table[string, person](b, c.Topic(t, "people", 2))
	topic := c.Topic(t, "sold", 3)
	dsl.JoinForeign(sales, people, func(s *sale) (string, bool) { return s.Buyer, true }, sell).To(topic)
	table := dsl.Table[string, sold](b, topic)
	plan, err := b.Build()
	require.NoError(t, err)

	dir := t.TempDir()
	haveSales, havePeople := map[string]*sale{}, map[string]*person{}
	for round := range 3 {
		buys, persons := map[string]*sale{}, map[string]*person{}
		for i := range 200 {
			id, name := fmt.Sprint("s", r.IntN(400)), fmt.Sprint("p", i%40)
			if buys[id] = nil; r.IntN(5) > 0 {
				buys[id] = &sale{id, fmt.Sprint("p", r.IntN(40))}
			}
			if persons[name] = nil; r.IntN(4) > 0 {
				persons[name] = &person{name, fmt.Sprint("city ", r.IntN(100))}
			}
			haveSales[id], havePeople[name] = buys[id], persons[name]
		}
		if round == 1 {
			dir = t.TempDir()
		}
		e := start(t, plan, engine.Config{Brokers: c.Brokers, Dial: c.Dial, StateDir: dir,
			CommitInterval: 20 * time.Millisecond})
		put(t, c, sales, buys)
		put(t, c, people, persons)
		want := map[string]sold{}
		for id, s := range haveSales {
			if s != nil && havePeople[s.Buyer] != nil {
				want[id] = sold{id, havePeople[s.Buyer].City}
			}
		}
		awaitTable(t, e.Engine, table, want, soldID)
		require.NoError(t, e.stop())
	}
}
