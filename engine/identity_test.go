package engine_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/windows"
)

// A changelog that was deleted while nothing ran does not mean that all is to be written again: the
// store knows better, and without it the group.
func TestChangelogDeleted(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct{ diskGone, groupGone bool }{"disk and group": {}, "group": {diskGone: true},
		"disk": {groupGone: true}} {
		t.Run(name, func(t *testing.T) {
			c := kafkatest.Start(t)
			p := newPost(t, c, c.Name("fx"), c.Name("in"), 1)
			dir := t.TempDir()
			p.send(t, 50)
			p.work(t, dir)
			awaitRead(t, c, p.group(), p.in)
			p.remake(t, p.changelog())
			if x.diskGone {
				dir = t.TempDir()
			}
			if x.groupGone {
				p.forget(t)
			}
			for range 2 { // to refuse destroys nothing that knows
				err := p.refuse(t, dir)
				require.ErrorIs(t, err, task.ErrLogLost)
				for _, said := range []string{p.changelog(), "partition 0", "OnPlanChange", "another name"} {
					require.ErrorContains(t, err, said)
				}
			}
			require.Equal(t, 50, p.passed(t))
			require.Contains(t, p.work(t, dir, rebuilding),
				"changelog has lost its state: all is read from the oldest records and written again")
			require.Equal(t, 100, p.passed(t))
			p.requireCounts(t, 50)
			p.send(t, 1)
			p.work(t, dir)
			p.requireCounts(t, 51)
		})
	}
}

// What is legal is not refused: a first start, one that was killed before it committed, an idle
// partition, and a start from nothing.
func TestChangelogNeverWritten(t *testing.T) {
	c := kafkatest.Start(t)
	p := newPost(t, c, c.Name("fx"), c.Name("in"), 2)
	dir := t.TempDir()
	r, _ := p.begin(t, dir)
	require.NoError(t, r.WaitReady(t.Context()))
	require.NoError(t, r.stop())
	p.remake(t, p.changelog())
	require.NotContains(t, p.work(t, dir), "level=WARN")
	p.send(t, 3)
	p.work(t, dir)
	p.requireCounts(t, 3)

	// All of the application is deleted, the directory too: it starts from nothing.
	awaitRead(t, c, p.group(), p.in)
	p.forget(t)
	p.remake(t, p.changelog(), p.out, p.counts)
	require.NotContains(t, p.work(t, t.TempDir()), "level=WARN")
	require.Equal(t, 6, p.passed(t))
	p.requireCounts(t, 3)

	// And so it does when the input is another one too: what the group and the directory know is of
	// the one before.
	p.sent = 0
	p.remake(t, p.in, p.changelog(), p.out, p.counts)
	p.send(t, 2)
	require.Contains(t, p.work(t, dir), "the store is of another log")
	require.Equal(t, 4, p.passed(t))
	p.requireCounts(t, 2)
}

// An input that was deleted and made again has other records at the offsets that are remembered:
// none is passed over.
func TestInputMadeAgain(t *testing.T) {
	c := kafkatest.Start(t)
	for name, again := range map[string]int{"fewer records": 20, "more records": 90} {
		t.Run(name, func(t *testing.T) {
			p := newPost(t, c, c.Name(fmt.Sprint("fx", again)), c.Name(fmt.Sprint("in", again)), 2)
			dir := t.TempDir()
			p.send(t, 40)
			p.work(t, dir)
			p.remake(t, p.in)
			p.sent = 0
			p.send(t, again)
			for _, dir := range []string{dir, t.TempDir()} {
				err := p.refuse(t, dir)
				require.ErrorIs(t, err, task.ErrOtherTopic)
				for _, said := range []string{p.in, "deleted and made again", "OnPlanChange to Rebuild",
					"another name"} {
					require.ErrorContains(t, err, said)
				}
			}
			require.Contains(t, p.work(t, dir, rebuilding), "input was deleted and made again")
			require.Equal(t, 2*(40+again), p.passed(t))
			p.requireCounts(t, int64(again))
			p.send(t, 1)
			p.work(t, dir)
			p.requireCounts(t, int64(again)+1)
		})
	}
}

// The same while the application runs.
func TestInputMadeAgainUnderWay(t *testing.T) {
	c := kafkatest.Start(t)
	p := newPost(t, c, c.Name("fx"), c.Name("in"), 1)
	dir := t.TempDir()
	p.send(t, 10)
	r, lines := p.begin(t, dir)
	awaitRead(t, c, p.group(), p.in)
	p.remake(t, p.in)
	p.send(t, 30)
	select {
	case err := <-r.done:
		require.ErrorIs(t, err, kafka.ErrOtherTopic)
		require.ErrorContains(t, err, p.in)
		require.ErrorContains(t, err, "OnPlanChange to Rebuild")
	case <-time.After(time.Minute):
		t.Fatalf("Run goes on: %s", lines)
	}
	require.Equal(t, 10, p.passed(t))
	require.ErrorIs(t, p.refuse(t, dir), task.ErrOtherTopic)
}

// A disk of a first life of the application comes back beside the changelog of a second one.
func TestDiskOfAnotherLife(t *testing.T) {
	c := kafkatest.Start(t)
	p := newPost(t, c, c.Name("fx"), c.Name("in"), 1)
	first := t.TempDir()
	p.send(t, 40)
	p.work(t, first)
	awaitRead(t, c, p.group(), p.in)
	p.forget(t)
	p.remake(t, p.changelog(), p.out, p.counts)
	p.work(t, t.TempDir())
	p.send(t, 1)
	p.work(t, t.TempDir())
	said := p.work(t, first)
	require.Contains(t, said, "the store is of another log")
	require.Contains(t, said, "level=WARN")
	p.requireCounts(t, 41)
	p.send(t, 1)
	require.NotContains(t, p.work(t, first), "another log")
	p.requireCounts(t, 42)
	require.Equal(t, 42, p.passed(t))
}

// Folders of two partitions change places, as in a restore of a backup that went wrong.
func TestFoldersOfPartitionsSwapped(t *testing.T) {
	c := kafkatest.Start(t)
	p := newPost(t, c, c.Name("fx"), c.Name("in"), 2)
	dir := t.TempDir()
	p.send(t, 30)
	p.work(t, dir)
	folder := func(name string) string { return filepath.Join(dir, p.changelog(), name) }
	for _, move := range [][2]string{{"0", "x"}, {"1", "0"}, {"x", "1"}} {
		require.NoError(t, os.Rename(folder(move[0]), folder(move[1])))
	}
	p.send(t, 5)
	said := p.work(t, dir)
	require.Equal(t, 2, bytes.Count([]byte(said), []byte("the store is of another log")), said)
	p.requireCounts(t, 35)
	require.Equal(t, 70, p.passed(t))
}

// A state directory is used with another cluster that has the same topics.
func TestDirectoryOfAnotherCluster(t *testing.T) {
	one, two := kafkatest.Start(t), kafkatest.Start(t)
	if slices.Equal(one.Brokers, two.Brokers) {
		t.Skip("one real cluster is no two")
	}
	app, in, dir := one.Name("fx"), one.Name("in"), t.TempDir()
	staging, production := newPost(t, one, app, in, 1), newPost(t, two, app, in, 1)
	staging.send(t, 30)
	staging.work(t, dir)
	production.send(t, 50)
	require.Contains(t, production.work(t, dir), "the store is of another log")
	production.requireCounts(t, 50)
	require.Equal(t, 50, production.passed(t))
	require.Contains(t, staging.work(t, dir), "the store is of another log")
	staging.send(t, 1)
	staging.work(t, dir)
	staging.requireCounts(t, 31)
	require.Equal(t, 31, staging.passed(t))
}

// What commits of offsets say of themselves.
func TestCommitsSayWhoseTheyAre(t *testing.T) {
	c := kafkatest.Start(t)
	p := newPost(t, c, c.Name("fx"), c.Name("in"), 1)
	p.send(t, 3)
	p.work(t, "")
	awaitRead(t, c, p.group(), p.in)
	commits, err := c.Admin().Commits(t.Context(), p.group(), p.in)
	require.NoError(t, err)
	found, err := c.Admin().Topics(t.Context(), p.in)
	require.NoError(t, err)
	require.NotZero(t, found.Topics[p.in].ID)
	require.Equal(t, fmt.Sprintf("application=%s sub=%s topic=%s", p.app, p.in, found.Topics[p.in].ID),
		commits[0].Metadata)
	require.Equal(t, int64(3), commits[0].Offset)
}

// Two applications whose names and topics, one behind the other, read alike have nothing in common:
// one after the other, in both orders, and at once.
func TestApplicationsWithNamesThatRunTogether(t *testing.T) {
	for name, order := range map[string][]int{"one, then the other": {0, 1}, "the other, then one": {1, 0},
		"both at once": nil} {
		t.Run(name, func(t *testing.T) {
			c := kafkatest.Start(t)
			tail := c.Name("")
			apps := []*post{newPost(t, c, "orders"+tail, "eu-in"+tail, 1), newPost(t, c, "orders"+tail+"-eu", "in"+tail,
				1)}
			for i, p := range apps {
				p.send(t, 10*(i+1))
			}
			for _, i := range order {
				apps[i].work(t, "")
			}
			if order == nil {
				var all []*running
				for _, p := range apps {
					r, _ := p.begin(t, "")
					all = append(all, r)
				}
				for i, p := range apps {
					awaitRead(t, c, p.group(), p.in)
					require.NoError(t, all[i].stop())
				}
			}
			for i, p := range apps {
				require.Equal(t, 10*(i+1), p.passed(t), p.app)
				p.requireCounts(t, int64(10*(i+1)))
			}
		})
	}
}

// A table's topic is deleted and made again, at rest and under way: rows of the one before are
// gone, and none of the new one is missing.
func TestTableMadeAgain(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topic(t, "holders", 2)
	b := dsl.New(c.Name("fx"))
	declared := dsl.Table[string, holder](b, topic)
	plan, err := b.Build()
	require.NoError(t, err)
	p := &post{Cluster: c, plan: plan, in: topic, partitions: 2}
	put := func(from, to int) (accounts []string) {
		var outputs []task.Output
		for i := range to - from {
			accounts = append(accounts, fmt.Sprintf("a%02d", from+i))
			value, err := declared.StreamRef().Encode(nil, &holder{accounts[i], "desk"})
			require.NoError(t, err)
			outputs = append(outputs, task.Output{Topic: topic, Partition: task.OnKey, Key: []byte(accounts[i]),
				Value: value, Timestamp: windows.At(time.Now())})
		}
		p.write(t, outputs)
		return accounts
	}
	rows := func(r *running) (all []string) {
		table, err := engine.Table(r.Engine, declared)
		require.NoError(t, err)
		found, err := table.ToList(t.Context())
		if err != nil {
			return []string{err.Error()}
		}
		for _, row := range found {
			all = append(all, row.Account)
		}
		return all
	}
	has := func(r *running, want []string) {
		t.Helper()
		require.Eventually(t, func() bool { return slices.Equal(want, rows(r)) }, patience, 20*time.Millisecond,
			"want %v", want)
	}
	dir := t.TempDir()
	first := put(0, 20)
	r, _ := p.begin(t, dir)
	has(r, first)
	require.NoError(t, r.stop())

	p.remake(t, topic)
	second := put(30, 60) // more of them, so that no offset is out of range
	r, lines := p.begin(t, dir)
	has(r, second)
	require.Contains(t, lines.String(), "rows of the store are of another topic")

	p.remake(t, topic)
	third := put(70, 99)
	has(r, third)
	require.NoError(t, r.stop())
}

// A changelog is deleted and made again while the application runs, with records behind it: what is
// in the new one is not the whole state.
func TestChangelogMadeAgainUnderWay(t *testing.T) {
	c := kafkatest.Start(t)
	p := newPost(t, c, c.Name("fx"), c.Name("in"), 1)
	dir := t.TempDir()
	p.send(t, 10)
	r, _ := p.begin(t, dir)
	awaitRead(t, c, p.group(), p.in)
	p.remake(t, p.changelog())
	require.NoError(t, c.Admin().Ensure(t.Context(), kafka.TopicSpec{Name: p.changelog(), Partitions: 1,
		Replication: -1, Config: map[string]string{"cleanup.policy": "compact", "retention.ms": "-1"}}))
	p.send(t, 5)
	select { // the producer may find out, or the look at topics, or the next start
	case err := <-r.done:
		require.Error(t, err)
	case <-time.After(2 * time.Second):
		_ = r.stop()
	}
	for _, dir := range []string{dir, t.TempDir()} {
		err := p.refuse(t, dir)
		require.True(t, errors.Is(err, task.ErrLogLost) || errors.Is(err, task.ErrOtherTopic), err)
	}
	p.work(t, dir, rebuilding)
	p.requireCounts(t, 15)
	p.send(t, 1)
	p.work(t, dir)
	p.requireCounts(t, 16)
}

// Offsets of an internal topic that was deleted and made again delete nothing in the new one.
func TestPurgeOfTopicMadeAgain(t *testing.T) {
	c := kafkatest.Start(t)
	b := dsl.New(c.Name("fx"))
	in := c.Topic(t, "in", 1)
	dsl.Stream[parcel](b, in).Repartition("moved", 1).To(c.Name("out"))
	plan, err := b.Build()
	require.NoError(t, err)
	p := &post{Cluster: c, plan: plan}
	r, _ := p.begin(t, "")
	require.Eventually(t, func() bool {
		for _, s := range r.Status().SubTopologies {
			if len(s.Tasks) == 0 || !s.Tasks[0].Open {
				return false
			}
		}
		return true
	}, patience, 10*time.Millisecond)
	internal := plan.Internal[0].Topic
	require.NoError(t, engine.Deletable(t.Context(), r.Engine, c.Admin(), internal))
	require.NoError(t, c.Admin().Delete(t.Context(), internal))
	require.NoError(t, c.Admin().Ensure(t.Context(), kafka.TopicSpec{Name: internal, Partitions: 1, Replication: -1}))
	err = engine.Deletable(t.Context(), r.Engine, c.Admin(), internal)
	require.ErrorIs(t, err, kafka.ErrOtherTopic)
	require.ErrorContains(t, err, internal)
	require.ErrorIs(t, <-r.done, kafka.ErrOtherTopic, "and Run ends")
}

// The store of a standby that is of another partition is made again from the log, with a line.
func TestStandbyOfAnotherLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVirtualRig(t, 7)
		disk := newSimDisk(nil)
		r, _ := startOnDisk(t, v.plan, v.cluster, disk)
		v.feed(t, time.Minute)
		require.NoError(t, r.stop())
		kept := newSimDisk(disk.crash(nil)).left(fmt.Sprintf(copiedChangelog, v.topic), 1)
		require.NotNil(t, kept)
		twin, rows := memory.New(), &stores.Batch{}
		for e, err := range kept.Scan(nil, nil) {
			require.NoError(t, err)
			rows.Put(e.Key, e.Value)
		}
		require.NoError(t, twin.Write(rows))
		k := startCopies(t, v.pipeline, v.cluster, map[int32]stores.Store{0: twin})
		k.Name(0)
		time.Sleep(time.Minute) // of the bubble
		requireCopy(t, v, 0, k.last(0))
		require.NoError(t, k.stop())
		require.Contains(t, k.lines.String(), "the store is of another log")
	})
}
