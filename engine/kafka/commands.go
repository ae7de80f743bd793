package kafka

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// CreateCommand is the command with which an administrator creates the topic. Partitions of 0 stand
// for a number that the reader must choose.
func (c Config) CreateCommand(s TopicSpec) string {
	partitions := "NUMBER"
	if s.Partitions > 0 {
		partitions = fmt.Sprint(s.Partitions)
	}
	words := []string{"kafka-topics.sh --bootstrap-server", bootstrap(c.Brokers) + c.credentials(), "--create --topic",
		quote(s.Name), "--partitions", partitions}
	if s.Replication > 0 {
		words = append(words, "--replication-factor", fmt.Sprint(s.Replication))
	}
	all := s.settings()
	for _, key := range slices.Sorted(maps.Keys(all)) {
		words = append(words, "--config", quote(key+"="+all[key]))
	}
	return strings.Join(words, " ")
}

// AlterCommand is the command with which an administrator gives a topic settings.
func (c Config) AlterCommand(topic string, settings map[string]string) string {
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		value := settings[key]
		if strings.Contains(value, ",") {
			value = "[" + value + "]" // else the comma would end it
		}
		pairs = append(pairs, key+"="+value)
	}
	return strings.Join([]string{"kafka-configs.sh --bootstrap-server", bootstrap(c.Brokers) + c.credentials(),
		"--alter --entity-type topics --entity-name", quote(topic), "--add-config", quote(strings.Join(pairs, ","))},
		" ")
}

// GrowCommand is the command with which an administrator gives a topic more partitions.
func (c Config) GrowCommand(topic string, partitions int32) string {
	return strings.Join([]string{"kafka-topics.sh --bootstrap-server", bootstrap(c.Brokers) + c.credentials(),
		"--alter --topic", quote(topic), "--partitions", fmt.Sprint(partitions)}, " ")
}

// credentials is the option that names the administrator's own settings, where connections need
// any.
func (c Config) credentials() string {
	if c.Security == (Security{}) {
		return ""
	}
	return " --command-config " + adminConfig
}

// settings are all that a topic is created with.
func (s *TopicSpec) settings() map[string]string {
	all := maps.Clone(s.Extra)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, s.Config)
	return all
}

// DeleteGroupCommand is how an administrator deletes a group that has no members.
func (c Config) DeleteGroupCommand(group string) string {
	return strings.Join([]string{"kafka-consumer-groups.sh --bootstrap-server", bootstrap(c.Brokers),
		"--command-config", adminConfig, "--delete --group", quote(group)}, " ")
}
