package kafka

import (
	"github.com/IBM/sarama"

	"github.com/ashi-stream/ashi/engine/internal/task"
)

// claim is a sarama.ConsumerGroupClaim: one topic of a lane.
type claim struct {
	topic     string
	partition int32
	start     int64
	fetcher   *fetcher
	feed      *feed
	messages  chan *sarama.ConsumerMessage
	gone      chan struct{} // goka does not take messages any more

	// Owned by goka's goroutine of the partition.
	chunks  []lent // in order; the decoder may have begun the first
	begun   bool
	decoder *decoder
	records []task.Record
	batch   task.Batch // what the worker has
}

// lent is a chunk with the deferred commit that its last batch pays.
type lent struct {
	chunk *chunk
	debt  *debt
}

var _ sarama.ConsumerGroupClaim = (*claim)(nil)

func newClaim(topic string, partition int32, f *fetcher) *claim {
	return &claim{
		topic: topic, partition: partition, fetcher: f,
		messages: make(chan *sarama.ConsumerMessage), gone: make(chan struct{}),
		decoder: newDecoder(), records: make([]task.Record, batchSize),
	}
}

// fill makes the next batch of the first chunk; the worker must not have one. It returns the
// chunk's debt with its last batch.
func (c *claim) fill() (done *debt, err error) {
	first := c.chunks[0]
	if !c.begun {
		c.decoder.start(first.chunk)
		c.begun = true
	}
	n, err := c.decoder.fill(c.records)
	if err != nil {
		return nil, err
	}
	c.batch = task.Batch{Topic: c.topic, Records: c.records[:n], Next: c.decoder.position}
	if c.decoder.position < first.chunk.next {
		return nil, nil
	}
	c.batch.Bytes = len(first.chunk.raw)
	c.chunks[0] = lent{}
	c.chunks, c.begun = c.chunks[1:], false
	c.fetcher.used(c.feed)
	return first.debt, nil
}

// What sarama asks of a claim.
func (c *claim) Topic() string                            { return c.topic }
func (c *claim) Partition() int32                         { return c.partition }
func (c *claim) InitialOffset() int64                     { return c.start }
func (c *claim) HighWaterMarkOffset() int64               { return 0 } // goka does not ask
func (c *claim) Messages() <-chan *sarama.ConsumerMessage { return c.messages }

// send waits until goka takes the message, or until over.
func (c *claim) send(m *sarama.ConsumerMessage, over <-chan struct{}) bool {
	select {
	case c.messages <- m:
		return true
	case <-c.gone:
	case <-over:
	}
	return false
}
