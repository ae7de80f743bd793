package kafka_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

// Brokers before Kafka 3.6 know another name for the limits of timestamps, and refuse a topic for
// one that they do not know: who could not ask for their names creates it nevertheless. A setting
// that no version knows is an error that is told.
func TestLimitsOfOlderBrokers(t *testing.T) {
	for name, known := range map[string]string{"3.4": "message.timestamp.difference.max.ms", "none": ""} {
		t.Run(name, func(t *testing.T) {
			fake, err := kfake.NewCluster(kfake.NumBrokers(1))
			require.NoError(t, err)
			t.Cleanup(fake.Close)
			c := kafkatest.At(t, fake.ListenAddrs()...)
			fake.ControlKey(int16(kmsg.CreateTopics), func(req kmsg.Request) (kmsg.Response, error, bool) {
				fake.KeepControl()
				asked := req.(*kmsg.CreateTopicsRequest).Topics[0]
				for _, s := range asked.Configs {
					if s.Name == "cleanup.policy" || s.Name == known {
						continue
					}
					resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
					answer := kmsg.NewCreateTopicsResponseTopic()
					answer.Topic, answer.ErrorCode, answer.ErrorMessage = asked.Topic, kerr.InvalidConfig.Code,
						kmsg.StringPtr("Unknown topic config name: "+s.Name)
					resp.Topics = append(resp.Topics, answer)
					return resp, nil, true
				}
				return nil, nil, false
			})
			defaults, err := c.Admin().Defaults(t.Context())
			require.NoError(t, err)
			spec := kafka.TopicSpec{Name: "t", Partitions: 1, Replication: -1,
				Config: map[string]string{"cleanup.policy": "compact"}, Extra: defaults.AnyTimestamp}
			require.NoError(t, c.Admin().Ensure(t.Context(), spec))
			found, err := c.Admin().Settings(t.Context(), "t")
			require.NoError(t, err)
			if known != "" {
				require.Equal(t, "9223372036854775807", found[known])
			}
			spec.Name, spec.Extra = "u", map[string]string{"clean.policy": "compact",
				"message.timestamp.after.max.ms": "9223372036854775807"}
			require.ErrorContains(t, c.Admin().Ensure(t.Context(), spec), "Unknown topic config name: clean.policy")
		})
	}
}
