package engine

import (
	"slices"

	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/topology"
)

// ACLs are the permissions that running plan with cfg needs, none of them implied by another:
// [kafka.GrantCommands] prints how an administrator grants them. What a program does beyond Run it
// needs too: Write on topics to which it adds, Read on those that ForEach follows, and Create where
// it creates topics.
func ACLs(plan *topology.Plan, cfg Config) []kafka.ACL {
	var all aclList
	if len(plan.Subs) > 0 {
		all.add(kafka.GroupID, groupName(plan), kafka.Read)
	}
	for _, s := range plan.Subs {
		all.subTopology(plan, cfg, s)
	}
	if plan.DeadLetters != "" { // for SendDead, where no sub-topology writes to it
		all.add(kafka.Topic, plan.DeadLetters, kafka.Write)
		if !cfg.Topics.WithoutCreation {
			all.add(kafka.Topic, plan.DeadLetters, kafka.Create)
		}
	}
	for _, topic := range resultTopics(plan) { // Read is what a commit of an offset needs
		all.add(kafka.GroupID, topology.OwnerGroup(topic), kafka.Read)
		all.add(kafka.Topic, topic, kafka.Read)
	}
	for _, t := range plan.Tables {
		if t.WithoutMirror == "" && cfg.WithoutTables == "" {
			all.add(kafka.Topic, t.Topic, kafka.Read)
		}
	}
	return all
}

type aclList []kafka.ACL

func (l *aclList) add(r kafka.Resource, name string, operations ...kafka.Operation) {
	for _, o := range operations {
		if a := (kafka.ACL{Resource: r, Name: name, Operation: o,
			Prefix: r == kafka.TransactionalID}); !slices.ContainsFunc(*l, a.Within) {
			*l = append(*l, a)
		}
	}
}

func (l *aclList) subTopology(plan *topology.Plan, cfg Config, s *topology.SubTopology) {
	if cfg.Guarantee == ExactlyOnce {
		l.add(kafka.TransactionalID, topology.TransactionalPrefix(plan.Name), kafka.Write)
	}
	for _, topic := range s.Topics() {
		l.add(kafka.Topic, topic, kafka.Read)
	}
	created := func(topic string, operations ...kafka.Operation) {
		l.add(kafka.Topic, topic, operations...)
		if !cfg.Topics.WithoutCreation {
			l.add(kafka.Topic, topic, kafka.Create)
		}
	}
	created(changelogName(plan, s), kafka.Read, kafka.Write, kafka.DescribeConfigs)
	for _, k := range s.Sinks() {
		created(k.Topic, kafka.Write)
		if internal(plan, k.Topic) {
			l.add(kafka.Topic, k.Topic, kafka.Delete, kafka.DescribeConfigs) // of records that were read
		} else if k.Compact {
			l.add(kafka.Topic, k.Topic, kafka.DescribeConfigs)
		}
	}
}
