package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// CommittedOffsets is what the group has committed of topic; partitions without a commit are not in
// it.
func (a *Admin) CommittedOffsets(ctx context.Context, group, topic string) (map[int32]int64, error) {
	commits, err := a.Commits(ctx, group, topic)
	offsets := make(map[int32]int64, len(commits))
	for partition, c := range commits {
		offsets[partition] = c.Offset
	}
	return offsets, err
}

// Commit is an offset that a group has committed, with the text that was committed with it.
type Commit struct {
	Offset   int64
	Metadata string
}

// Commits is what the group has committed of topic; partitions without a commit are not in it.
func (a *Admin) Commits(ctx context.Context, group, topic string) (map[int32]Commit, error) {
	commits := make(map[int32]Commit)
	err := a.ask(ctx, "look up offsets of group "+group, func(ctx context.Context) error {
		fetched, err := a.client.FetchOffsets(ctx, group)
		if errors.Is(err, kerr.GroupIDNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		for partition, o := range fetched[topic] {
			if o.Err != nil {
				return fmt.Errorf("topic %s partition %d: %w", topic, partition, o.Err)
			}
			if o.At >= 0 {
				commits[partition] = Commit{Offset: o.At, Metadata: o.Metadata}
			}
		}
		return nil
	}, ACL{Resource: GroupID, Name: group, Operation: Describe}, ACL{Resource: Topic, Name: topic, Operation: Describe})
	return commits, err
}

// AllCommits is what the group has committed, by topic and partition, of all topics that this
// client may see.
func (a *Admin) AllCommits(ctx context.Context, group string) (map[string]map[int32]Commit, error) {
	commits := map[string]map[int32]Commit{}
	err := a.ask(ctx, "look up offsets of group "+group, func(ctx context.Context) error {
		fetched, err := a.client.FetchOffsets(ctx, group)
		if errors.Is(err, kerr.GroupIDNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		for topic, partitions := range fetched {
			for partition, o := range partitions {
				if o.Err != nil || o.At < 0 {
					continue
				}
				if commits[topic] == nil {
					commits[topic] = map[int32]Commit{}
				}
				commits[topic][partition] = Commit{Offset: o.At, Metadata: o.Metadata}
			}
		}
		return nil
	}, ACL{Resource: GroupID, Name: group, Operation: Describe})
	return commits, err
}

// Note commits offset 0 of partition 0 of topic with a text, for a group that has no members.
// Brokers forget it when it was not written again for offsets.retention.minutes, and when the topic
// is deleted.
func (a *Admin) Note(ctx context.Context, group, topic, text string) error {
	return a.ask(ctx, "write a note of group "+group, func(ctx context.Context) error {
		var offsets kadm.Offsets
		offsets.Add(kadm.Offset{Topic: topic, At: 0, LeaderEpoch: -1, Metadata: text})
		answers, err := a.client.CommitOffsets(ctx, group, offsets)
		if err != nil {
			return err
		}
		return answers.Error()
	}, ACL{Resource: GroupID, Name: group, Operation: Read}, ACL{Resource: Topic, Name: topic, Operation: Read})
}
