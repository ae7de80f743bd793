package task

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ashi-stream/ashi/stores"
)

// An offset means something in one log only. A topic that was deleted and made again has the name
// of the one before, and so has one of another cluster; folders of a disk can be swapped. So
// whatever remembers an offset remembers of which log it is: a store with its position (LogID), a
// commit record of itself and of each input (Progress.Log and Topics), a table for each partition
// (package tables). What is of another log is never taken up.

// TopicID is the id that Kafka gives a topic when it is made: it tells it from every other topic,
// those of its name too. The zero TopicID is not known: brokers before 2.8 have none.
type TopicID [16]byte

// String is the id as Kafka's own tools write it.
func (id TopicID) String() string {
	if id == (TopicID{}) {
		return "unknown"
	}
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// Other reports that two ids are of two topics. One that is not known may be any.
func (id TopicID) Other(than TopicID) bool {
	return id != than && id != TopicID{} && than != TopicID{}
}

// LogID says which log a changelog's partition is, and whose: what a store and a commit record tell
// of themselves.
type LogID struct {
	Cluster     string // empty: not known
	Application string
	Sub         string // the sub-topology's name
	Partition   int32
	Topic       TopicID // of the changelog
}

// SameOwner reports that two logs are of one partition of one sub-topology of one application.
func (id LogID) SameOwner(other LogID) bool {
	return id.Application == other.Application && id.Sub == other.Sub && id.Partition == other.Partition
}

// OtherCluster reports that two logs are of two clusters.
func (id LogID) OtherCluster(than LogID) bool {
	return id.Cluster != than.Cluster && id.Cluster != "" && than.Cluster != ""
}

// Other reports that two logs are not the same.
func (id LogID) Other(than LogID) bool {
	return !id.SameOwner(than) || id.OtherCluster(than) || id.Topic.Other(than.Topic)
}

// Owner names whose log it is.
func (id LogID) Owner() string {
	return fmt.Sprintf("application %q, sub-topology %q, partition %d", id.Application, id.Sub, id.Partition)
}

// String is the owner, and which topic of which cluster.
func (id LogID) String() string {
	cluster := id.Cluster
	if cluster == "" {
		cluster = "unknown"
	}
	return fmt.Sprintf("%s, changelog with topic id %s in cluster %s", id.Owner(), id.Topic, cluster)
}

// append appends the id as it is in stores and commit records: cluster, application and
// sub-topology with uvarint lengths, the partition as a uvarint, the 16 bytes of the topic's id.
func (id LogID) append(dst []byte) []byte {
	dst = appendString(appendString(appendString(dst, id.Cluster), id.Application), id.Sub)
	dst = binary.AppendUvarint(dst, uint64(uint32(id.Partition)))
	return append(dst, id.Topic[:]...)
}

func (d *decoder) logID() LogID {
	id := LogID{Cluster: d.string(), Application: d.string(), Sub: d.string()}
	partition := d.uvarint()
	d.bad = d.bad || partition > 1<<31-1
	id.Partition, id.Topic = int32(partition), d.topicID()
	return id
}

func (d *decoder) topicID() (id TopicID) {
	copy(id[:], d.take(uint64(len(id))))
	return id
}

// OtherLogError says that a store is of another log than the one that it is to follow. To errors.Is
// it is ErrDamaged: nothing of the store may be used.
type OtherLogError struct{ Found, Want LogID }

func (e *OtherLogError) Error() string {
	return fmt.Sprintf("the store is of another log: it is of %s; expected was %s", e.Found, e.Want)
}

// Is makes it an ErrDamaged.
func (e *OtherLogError) Is(target error) bool { return target == ErrDamaged }

// OtherLife reports that the store is of a changelog of this very partition and cluster which was
// deleted since, and made again.
func (e *OtherLogError) OtherLife() bool {
	return e.Found.SameOwner(e.Want) && !e.Found.OtherCluster(e.Want)
}

// Errors of logs that are not the ones that are remembered. A rebuild mends them where the plan
// allows it; they end Run otherwise.
var (
	// ErrOwner says that the changelog has the state of somebody else.
	ErrOwner = errors.New("task: changelog belongs to another task")
	// ErrOtherTopic says that a topic was deleted and made again, or is of another cluster.
	ErrOtherTopic = errors.New("task: topic is another one of the same name")
	// ErrLogLost says that a changelog is empty though it is known that there was state in it.
	ErrLogLost = errors.New("task: changelog has lost the state")
)

// WhatToDo ends an error about a topic that is another one.
const WhatToDo = "\n  Either set OnPlanChange to Rebuild once, to drop the state of the sub-topology and read what there is now from the oldest record on; " +
	"or give the application another name, to start beside what was there"

// admitLogs compares which logs the commit record is of, its own and those of its inputs, with what
// they are now. It says whether the state is to be dropped and all be read again.
func (t *Task) admitLogs(last *Progress) (rebuild bool, err error) {
	if last == nil {
		return false, nil
	}
	if !last.Log.SameOwner(t.cfg.ID) {
		return false, fmt.Errorf("%w: %s has a commit record of %s: somebody has copied records from there, or two programs write to it; "+
			"stop the other one, delete the changelog, and start with OnPlanChange Rebuild", ErrOwner, t.where(), last.Log.Owner())
	}
	if last.Log.Other(t.cfg.ID) {
		if !t.cfg.Rebuild {
			return false, fmt.Errorf("%w: %s has a commit record that was written to another topic of this name: to %s; expected was %s: "+
				"the changelog was deleted under way, or copied from elsewhere, and its state is not whole%s", ErrOtherTopic, t.where(), last.Log, t.cfg.ID, WhatToDo)
		}
		t.cfg.Log.Warn("changelog was written to another topic of its name: state is dropped and rebuilt from the oldest records of the inputs"+t.twice(),
			"partition", t.cfg.Partition, "was", last.Log.String(), "is", t.cfg.ID.String())
		return true, nil
	}
	return t.admitInputs(last)
}

// admitInputs is admitLogs for the inputs. Positions in an internal topic that is another one are
// forgotten by a rebuild, and the state stays: the rows that it was made from are nowhere else any
// more.
func (t *Task) admitInputs(last *Progress) (rebuild bool, err error) {
	var texts, others []string
	internal := true
	for _, source := range t.cfg.Sub.Sources() {
		if last.Inputs[source.Topic] <= 0 {
			continue // nothing of it was read
		}
		was, is := last.Topics[source.Topic], t.cfg.Topics[source.Topic]
		if !was.Other(is) {
			continue
		}
		texts = append(texts, fmt.Sprintf("topic %s had id %s, and has %s now", source.Topic, was, is))
		others = append(others, source.Topic)
		internal = internal && source.Internal
	}
	if len(others) == 0 {
		return false, nil
	}
	what := strings.Join(texts, "; ")
	if !t.cfg.Rebuild {
		return false, fmt.Errorf("%w: %s: %s: it was deleted and made again since it was read last, so that offsets of before mean nothing in it%s",
			ErrOtherTopic, t.where(), what, WhatToDo)
	}
	log := t.cfg.Log.With("partition", t.cfg.Partition, "topics", what)
	if internal {
		log.Warn("internal topic was deleted and made again: the new one is read from its oldest record; records of the old one that were not read yet are lost")
		maps.DeleteFunc(last.Inputs, func(topic string, _ int64) bool { return slices.Contains(others, topic) })
		return false, nil
	}
	log.Warn("input was deleted and made again: state is dropped, and all that there is now is read from the oldest record" + t.twice())
	return true, nil
}

// twice is what a line about a rebuild adds where steps in other sub-topologies get records again
// that they have counted.
func (t *Task) twice() string {
	if t.cfg.Linked {
		return "; records go through internal topics a second time"
	}
	return ""
}

// Processed reports that records of a topic with an id were processed, as far as a commit record
// tells: of a topic that is another one now none were.
func (p *Progress) Processed(topic string, id TopicID) bool {
	return p.Inputs[topic] > 0 && !p.Topics[topic].Other(id)
}

// StoredProgress is the commit record in a store, whatever log it is of; nil if there is none that
// can be read.
func StoredProgress(store stores.Store) *Progress {
	b, ok, err := store.Get(nil, ProgressKey)
	if err != nil || !ok {
		return nil
	}
	p, err := ParseProgress(b)
	if err != nil {
		return nil
	}
	return p
}
