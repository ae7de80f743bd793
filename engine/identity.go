package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
)

// identify notes which topics the inputs and changelogs of the plan are while this Engine runs,
// once all of them exist. Nobody remembers an offset of the others.
func (e *Engine) identify(ctx context.Context, admin *kafka.Admin) error {
	names := map[string]bool{}
	for _, s := range e.subs {
		names[s.changelog] = true
		for _, topic := range s.sub.Topics() {
			names[topic] = true
		}
	}
	var err error
	e.found, err = admin.Topics(ctx, slices.Sorted(maps.Keys(names))...)
	if err != nil {
		return fmt.Errorf("engine: start: %w", err)
	}
	return nil
}

// logID is the log of one partition of a sub-topology's changelog.
func (e *Engine) logID(s *subState, partition int32) task.LogID {
	return task.LogID{Cluster: e.found.Cluster, Application: e.plan.Name, Sub: s.sub.Name, Partition: partition,
		Topic: e.found.Topics[s.changelog].ID}
}

// topicIDs are those of the topics that a sub-topology reads.
func (e *Engine) topicIDs(s *subState) map[string]task.TopicID {
	ids := map[string]task.TopicID{}
	for _, topic := range s.sub.Topics() {
		ids[topic] = e.found.Topics[topic].ID
	}
	return ids
}

// look looks topics up, and is an ErrOtherTopic that names those which are not those of the start
// any more. Topics that are missing are not among them. A broker that has just heard of a topic, or
// started, may know the one before for a moment: it is asked again.
func (e *Engine) look(ctx context.Context, admin *kafka.Admin, topics ...string) (now kafka.Found, err error) {
	for range lookAgain {
		if now, err = admin.Topics(ctx, topics...); err != nil {
			return now, err
		}
		if err = e.others(now, topics...); err == nil {
			return now, nil
		}
		select {
		case <-ctx.Done():
			return now, err
		case <-time.After(lookPause):
		}
	}
	return now, err
}

const (
	lookAgain = 5
	lookPause = 200 * time.Millisecond
)

// others compares what was looked up with the start.
func (e *Engine) others(now kafka.Found, topics ...string) error {
	var errs []error
	for _, topic := range topics {
		was, is := e.found.Topics[topic].ID, now.Topics[topic].ID
		if is.Other(was) {
			errs = append(errs,
				fmt.Errorf("%w: topic %s has id %s, and had %s at start: it was deleted and made again under way",
					kafka.ErrOtherTopic, topic, is, was))
		}
	}
	return errors.Join(errs...)
}

// identifyEvery is the time between two looks at which topics there are.
const identifyEvery = 30 * time.Second

// watchTopics ends Run when a topic whose offsets this application remembers is another one.
// Fetches find that out at once; this is for changelogs, which nobody may read, and for brokers
// that fetch by name.
func (e *Engine) watchTopics(ctx context.Context) error {
	admin, err := kafka.NewAdmin(e.kafka)
	if err != nil {
		return fmt.Errorf("engine: watch topics: %w", err)
	}
	defer admin.Close()
	var topics []string
	for _, s := range e.subs {
		topics = append(append(topics, s.changelog), s.sub.Topics()...)
	}
	tick := time.NewTicker(identifyEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		// that nobody answers is said elsewhere
		if _, err := e.look(ctx, admin, topics...); errors.Is(err, kafka.ErrOtherTopic) {
			return fmt.Errorf("engine: %w", err)
		}
	}
}

// advised adds to an error about a topic that is another one what can be done.
func advised(err error) error {
	if errors.Is(err, kafka.ErrOtherTopic) && !strings.Contains(err.Error(), task.WhatToDo) {
		return fmt.Errorf("%w%s", err, task.WhatToDo)
	}
	return err
}

// note is what a commit of offsets says of itself, so that whoever reads it knows whose it is and
// of which topic.
func (e *Engine) note(s *subState, topic string) string {
	return fmt.Sprintf("application=%s sub=%s topic=%s", e.plan.Name, s.sub.Name, e.found.Topics[topic].ID)
}

// notes are those of all topics that a sub-topology reads.
func (e *Engine) notes(s *subState) map[string]string {
	notes := map[string]string{}
	for _, topic := range s.sub.Topics() {
		notes[topic] = e.note(s, topic)
	}
	return notes
}

// readNote takes a note apart.
func readNote(text string) map[string]string {
	fields := map[string]string{}
	for _, field := range strings.Fields(text) {
		if key, value, ok := strings.Cut(field, "="); ok {
			fields[key] = value
		}
	}
	return fields
}

// emptyLog judges a changelog's partition without a commit record: it is a first start, unless
// somebody knows better. The group does when it has offsets of this task, which it is told only
// behind a commit record; known is the commit record of a store of this task, or nil. If there was
// state, it is an ErrLogLost, or with OnPlanChange Rebuild a log line.
func (e *Engine) emptyLog(ctx context.Context, s *subState, partition int32, known *task.Progress) error {
	evidence := e.storeKnows(s, known)
	if evidence == "" {
		var err error
		if evidence, err = e.groupKnows(ctx, s, partition); err != nil || evidence == "" {
			return err
		}
	}
	if e.cfg.OnPlanChange == Rebuild {
		text := "changelog has lost its state: all is read from the oldest records and written again"
		if e.plan.Linked(s.sub) {
			text += "; records go through internal topics a second time"
		}
		e.cfg.Log.Warn(text, "changelog", s.changelog, "partition", partition, "because", evidence)
		return nil
	}
	return fmt.Errorf(
		"%w: %s has no commit record in partition %d, although %s: was the topic deleted? To go on would read all "+
			"from the oldest records, and "+
			"write all results a second time. If that is wanted, set OnPlanChange to Rebuild once; or give the "+
			"application another name; "+
			"or start again from nothing, as docs/operations.md says (Starting again)", task.ErrLogLost, s.changelog,
		partition, evidence)
}

// storeKnows says what the commit record of a store of this task tells; empty: nothing of what
// there is now was processed.
func (e *Engine) storeKnows(s *subState, known *task.Progress) string {
	if known == nil || known.Log.OtherCluster(e.logID(s, known.Log.Partition)) {
		return ""
	}
	for _, topic := range s.sub.Topics() {
		if known.Processed(topic, e.found.Topics[topic].ID) {
			return fmt.Sprintf("the local store has commit %d, at offset %d of topic %s", known.Sequence,
				known.Inputs[topic], topic)
		}
	}
	return ""
}

// groupKnows says which offset of a task the application's group has; empty: none.
func (e *Engine) groupKnows(ctx context.Context, s *subState, partition int32) (string, error) {
	admin, err := kafka.NewAdmin(e.kafka)
	if err != nil {
		return "", err
	}
	defer admin.Close()
	group := groupName(e.plan)
	for _, topic := range s.sub.Topics() {
		commits, err := admin.Commits(ctx, group, topic)
		if err != nil {
			return "", err
		}
		c := commits[partition]
		if c.Offset > 0 && c.Metadata == e.note(s, topic) {
			return fmt.Sprintf("group %s has committed offset %d of topic %s", group, c.Offset, topic), nil
		}
	}
	return "", nil
}
