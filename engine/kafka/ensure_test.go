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

// On a real cluster a topic that another process has just created is refused as existing before the
// metadata knows it.
func TestEnsureBesideAnother(t *testing.T) {
	fake, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(fake.Close)
	c := kafkatest.At(t, fake.ListenAddrs()...)
	refused := make(chan struct{})
	fake.ControlKey(int16(kmsg.CreateTopics), func(req kmsg.Request) (kmsg.Response, error, bool) {
		resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
		answer := kmsg.NewCreateTopicsResponseTopic()
		answer.Topic, answer.ErrorCode = req.(*kmsg.CreateTopicsRequest).Topics[0].Topic, kerr.TopicAlreadyExists.Code
		resp.Topics = append(resp.Topics, answer)
		close(refused)
		return resp, nil, true
	})
	spec := kafka.TopicSpec{Name: "t", Partitions: 3, Replication: -1}
	done := make(chan error)
	go func() { done <- c.Admin().Ensure(t.Context(), spec) }()
	<-refused
	require.NoError(t, kafkatest.At(t, fake.ListenAddrs()...).Admin().Ensure(t.Context(), spec))
	require.NoError(t, <-done)
}
