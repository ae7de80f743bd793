package topology_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/topology"
)

// text is a random name of few characters, so that names meet often where they can.
func text(r *rand.Rand) string {
	b := make([]byte, 1+r.IntN(5))
	for i := range b {
		b[i] = "a--b."[r.IntN(5)]
	}
	return string(b)
}

// Names that two applications, or two parts of one, are given are never the same, whatever the
// parts are called.
func TestNamesOfApplicationsNeverMeet(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	topics, ids := map[string]string{}, map[string]string{}
	once := func(of map[string]string, name, whose string) {
		if other, met := of[name]; met && other != whose {
			t.Fatalf("%s is of %s and of %s", name, other, whose)
		}
		of[name] = whose
	}
	applications := 0
	for range 100_000 {
		app, part, partition := text(r), text(r), r.Int32N(20)
		if topology.CheckApplication(app) != nil {
			continue
		}
		applications++
		once(topics, topology.InternalName(app, part), fmt.Sprint("topic of ", app, ": ", part))
		once(topics, topology.ChangelogName(app, part), fmt.Sprint("topic of ", app, ": ", part, "-changelog"))
		once(ids, topology.TransactionalID(app, part, partition), fmt.Sprint("task ", partition, " of ", part, " of ",
			app))
		require.True(t, strings.HasPrefix(topology.TransactionalID(app, part, partition),
			topology.TransactionalPrefix(app)))
		require.Equal(t, part, topology.CutInternal(app, topology.InternalName(app, part)))
		owner, _, _ := strings.Cut(topology.TransactionalID(app, part, partition), "--")
		require.Equal(t, app, owner, "a permission for a prefix is one for an application")
	}
	require.Greater(t, applications, 10_000)
}

func TestCheckApplication(t *testing.T) {
	for _, name := range []string{"fx", "eu-orders", "-x", "a.b_c", strings.Repeat("x", 249)} {
		require.NoError(t, topology.CheckApplication(name), name)
	}
	for name, want := range map[string]string{
		"": "name is empty", "ashi-owner": "ashi's own", "a b": "use 1 to 249", "eu--orders": `write "eu-orders"`,
		"fx-": `write "fx"`, "a---b-": `write "a-b"`, "--": `write "app"`,
	} {
		require.ErrorContains(t, topology.CheckApplication(name), want, name)
	}
}

// passing is a plan of sub-topologies that each read a topic and write one.
func passing(app string, subs ...[2]string) *topology.Plan {
	p := &topology.Plan{Name: app}
	for i, s := range subs {
		sink := &topology.Node{Name: fmt.Sprint("sink ", i), Place: "p.go:2", Op: &topology.Sink{Topic: s[1]}}
		p.Subs = append(p.Subs, &topology.SubTopology{Name: topology.CutInternal(app, s[0]), Roots: []*topology.Node{
			{Name: fmt.Sprint("source ", i), Place: "p.go:1", Op: &topology.Source{Topic: s[0]},
				Next: []*topology.Node{sink}}}})
	}
	return p
}

func TestNamesOfOnePlanThatMeet(t *testing.T) {
	internal := func(p *topology.Plan, name string) *topology.Plan {
		topic := topology.InternalName(p.Name, name)
		p.Internal = append(p.Internal, &topology.Internal{Topic: topic, Place: "p.go:3"})
		for _, s := range p.Subs {
			for i, source := range s.Sources() {
				source.Internal = source.Topic == topic && strings.Contains(s.Roots[i].Name, "1")
			}
		}
		return p
	}
	letters := func(p *topology.Plan, topic string) *topology.Plan {
		p.DeadLetters = topic
		return p
	}
	require.NoError(t, passing("fx", [2]string{"rates", "out"}).Check())
	require.NoError(t, internal(passing("fx", [2]string{"rates", "out"}, [2]string{"fx--pair", "out2"}),
		"pair").Check())
	for name, p := range map[string]*topology.Plan{
		"a source and a changelog": passing("fx", [2]string{"rates", "out"},
			[2]string{"fx--rates-changelog", "out2"}),
		"a result and a changelog": passing("fx", [2]string{"rates", "fx--rates-changelog"}),
		"dead letters and a changelog": letters(passing("fx", [2]string{"rates", "out"}),
			"fx--rates-changelog"),
		"a result and an internal topic": internal(passing("fx", [2]string{"rates", "fx--pair"},
			[2]string{"fx--pair", "out"}), "pair"),
		"a source and an internal topic":    internal(passing("fx", [2]string{"fx--pair", "out"}), "pair"),
		"an internal topic and a changelog": internal(passing("fx", [2]string{"rates", "out"}), "rates-changelog"),
		"two internal topics": internal(internal(passing("fx", [2]string{"rates", "out"}), "pair"),
			"pair"),
		"changelogs of a source and an internal": internal(passing("fx", [2]string{"pair", "out"},
			[2]string{"fx--pair", "out2"}), "pair"),
	} {
		require.ErrorContains(t, p.Check(), "have one name", name)
	}
	tables := passing("fx", [2]string{"rates", "out"})
	for _, topic := range []string{"a", "b"} {
		tables.Tables = append(tables.Tables, &topology.Table{Topic: topic, Folder: "rates", File: "window_1min",
			Place: "p.go:4"})
	}
	require.ErrorContains(t, tables.Check(), `tables "a" and "b" would be kept in one folder`)
	require.ErrorContains(t, passing("fx", [2]string{strings.Repeat("r", 240), "out"}).Check(),
		"changelog of sub-topology")
	require.ErrorContains(t, passing("eu--fx", [2]string{"rates", "out"}).Check(), `write "eu-fx"`)
}
