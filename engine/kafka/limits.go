package kafka

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ashi-stream/ashi/engine/internal/task"
)

// Settings of topics, by Kafka's names.
const (
	cleanupPolicy = "cleanup.policy"
	largestRecord = "max.message.bytes"
	deletionsKept = "delete.retention.ms"
	timestampType = "message.timestamp.type"
	// How far the timestamps of new records may be from the broker's clock. Since Kafka 3.6 each
	// direction has a setting of its own; before, and until 3.9 where neither is set, one is for
	// both.
	timestampBefore     = "message.timestamp.before.max.ms"
	timestampAfter      = "message.timestamp.after.max.ms"
	timestampDifference = "message.timestamp.difference.max.ms"

	appendTime = "LogAppendTime"
	// usualLargestRecord is Kafka's own default of max.message.bytes.
	usualLargestRecord = 1048588
)

// anyTimestamp are the settings with which a topic takes records of any age, in the words of
// brokers since Kafka 3.6, and of older ones.
var anyTimestamp = []map[string]string{
	{timestampBefore: noLimit, timestampAfter: noLimit},
	{timestampDifference: noLimit},
}

var noLimit = strconv.FormatInt(math.MaxInt64, 10)

// isTimestampLimit says that a setting is one of anyTimestamp, of whichever version.
func isTimestampLimit(setting string) bool {
	return setting == timestampBefore || setting == timestampAfter || setting == timestampDifference
}

// Defaults are what topics need to be told because brokers differ in it.
type Defaults struct {
	// AnyTimestamp are the settings with which a topic takes records of any age, by the names that
	// these brokers know.
	AnyTimestamp map[string]string
	// LargestRecord is the most that one of the topics asked for takes, or that a topic takes of
	// which nothing is said (max.message.bytes).
	LargestRecord int
}

// Defaults looks the settings of topics up. Where the cluster does not tell them, as when that is
// forbidden, they are those of Kafka itself.
func (a *Admin) Defaults(ctx context.Context, topics ...string) (Defaults, error) {
	d := Defaults{AnyTimestamp: anyTimestamp[0], LargestRecord: usualLargestRecord}
	err := a.settings(ctx, topics, func(_ string, all []kmsg.DescribeConfigsResponseResourceConfig) {
		known := map[string]bool{}
		for _, c := range all {
			known[c.Name] = true
			if c.Name != largestRecord {
				continue
			}
			d.LargestRecord = max(d.LargestRecord, number(valueOf(c.Value), 0))
			for _, s := range c.ConfigSynonyms { // the broker's, where the topic has its own
				d.LargestRecord = max(d.LargestRecord, number(valueOf(s.Value), 0))
			}
		}
		if known[timestampDifference] && !known[timestampAfter] {
			d.AnyTimestamp = anyTimestamp[1]
		}
	})
	return d, err
}

// Limits are what each topic takes. Bytes is not more than most. Where the cluster does not tell
// the settings of a topic, as when that is forbidden, Bytes is Client.BatchBytes, and the rest is
// no limit: what the broker refuses then, Producer finds.
func (a *Admin) Limits(ctx context.Context, most int, topics ...string) (map[string]task.TopicLimits, error) {
	limits := map[string]task.TopicLimits{}
	for _, topic := range topics {
		limits[topic] = task.TopicLimits{Bytes: min(int(a.cfg.Client.batchBytes()), most)}
	}
	err := a.settings(ctx, topics, func(topic string, all []kmsg.DescribeConfigsResponseResourceConfig) {
		of := map[string]string{}
		for _, c := range all {
			of[c.Name] = valueOf(c.Value)
		}
		l := limits[topic]
		l.Bytes = min(number(of[largestRecord], l.Bytes), most)
		l.Keyed = strings.Contains(of[cleanupPolicy], "compact")
		if of[timestampType] != appendTime { // else the broker's clock is the timestamp
			both := of[timestampDifference]
			l.Before, l.After = timestampLimit(of[timestampBefore], both), timestampLimit(of[timestampAfter], both)
		}
		limits[topic] = l
	})
	return limits, err
}

// timestampLimit is a limit in one direction, 0: none. Kafka 3.6 to 3.9 take the one for both
// directions where the other is not set.
func timestampLimit(one, both string) time.Duration {
	for _, text := range []string{one, both} {
		if ms, err := strconv.ParseInt(text, 10, 64); err == nil && ms <= int64(math.MaxInt64/time.Millisecond) {
			return max(time.Duration(ms)*time.Millisecond, 1)
		}
	}
	return 0
}

func number(text string, other int) int {
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	return other
}

// settings calls told with the settings of each topic of which the cluster tells them. kadm's own
// call tells none where one is denied.
func (a *Admin) settings(ctx context.Context, topics []string,
	told func(topic string, all []kmsg.DescribeConfigsResponseResourceConfig)) error {
	if len(topics) == 0 {
		return nil
	}
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms = true
	for _, topic := range slices.Compact(slices.Sorted(slices.Values(topics))) {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, topic
		req.Resources = append(req.Resources, r)
	}
	return a.ask(ctx, "read settings of topics", func(ctx context.Context) error {
		answer, err := req.RequestWith(ctx, a.raw)
		if err != nil {
			return err
		}
		for _, r := range answer.Resources {
			if r.ErrorCode == 0 {
				told(r.ResourceName, r.Configs)
			}
		}
		return nil
	})
}

func valueOf(v *string) string {
	if v == nil {
		return ""
	}
	return *v
}
