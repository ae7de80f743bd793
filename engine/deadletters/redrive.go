package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/windows"
)

// atOnce is how many letters are sent in one transaction.
const atOnce = 500

// redrive sends the records of letters anew, and marks the letters in the same transactions. The
// producer is opened first: that fences another redrive of the same topic, and settles what it
// left, so that what is read then is what counts.
func (c *command) redrive(ctx context.Context) (err error) {
	producer, err := kafka.NewProducer(ctx, c.kafka, kafka.ProducerConfig{TransactionalID: "ashi-deadletters-" +
		c.topic})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, producer.Close()) }()
	letters, err := c.read(ctx)
	if err == nil && !c.all {
		letters, err = c.named(letters)
	}
	if err != nil {
		return err
	}
	var send []*letter
	refused := 0
	for _, l := range letters {
		switch why := c.refusal(l); {
		case why == "":
			send = append(send, l)
		case l.sentTo == "" || !c.all: // that all but these are meant goes without saying
			refused++
			fmt.Fprintf(c.out, "%s is not sent: %s\n", l.place(), why)
		}
	}
	partitions, err := c.targets(ctx, send)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(send, atOnce) {
		for _, l := range some {
			c.produce(ctx, producer, l, partitions)
		}
		if err := producer.Commit(ctx); err != nil {
			return err
		}
		for _, l := range some {
			fmt.Fprintf(c.out, "%s sent to %s\n", l.place(), c.target(l))
		}
	}
	fmt.Fprintf(c.out, "%d letters sent\n", len(send))
	if refused > 0 {
		return fmt.Errorf("%d letters not sent", refused)
	}
	return nil
}

// refusal says why a letter is not to be sent; empty: it is.
func (c *command) refusal(l *letter) string {
	switch {
	case l.sentTo != "" && !c.again:
		return "it was sent to " + l.sentTo + " before: -again sends it once more"
	case l.Omitted > 0:
		return "its value was too large for the letter"
	case c.to == "" && l.Offset < 0:
		return "it is a row that the plan has made, not a record that was read: name a topic with -to"
	}
	return ""
}

func (c *command) target(l *letter) string {
	if c.to != "" {
		return c.to
	}
	return l.Topic
}

// targets is the partitions of the topics that are sent to. A topic that does not exist is an
// error.
func (c *command) targets(ctx context.Context, letters []*letter) (map[string]int32, error) {
	var topics []string
	for _, l := range letters {
		if t := c.target(l); !slices.Contains(topics, t) {
			topics = append(topics, t)
		}
	}
	admin, err := kafka.NewAdmin(c.kafka)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	counts, err := admin.Partitions(ctx, topics...)
	if err != nil {
		return nil, err
	}
	for _, t := range topics {
		if counts[t] == 0 {
			return nil, fmt.Errorf("topic %s does not exist", t)
		}
	}
	return counts, nil
}

// produce writes a letter's record and its mark. A record goes to the partition that it came from:
// whoever wrote it may place keys in a way of their own.
func (c *command) produce(ctx context.Context, producer *kafka.Producer, l *letter, partitions map[string]int32) {
	to := c.target(l)
	o := l.Redriven(fmt.Sprintf("%s/%d@%d", c.topic, l.partition, l.offset))
	o.Topic, o.Partition = to, l.Partition
	if to != l.Topic || l.Partition >= partitions[to] {
		if o.Partition = task.OnKey; o.Key == nil {
			o.Partition = l.Partition % partitions[to]
		}
	}
	producer.Produce(ctx, &o)
	mark := task.Mark(l.partition, l.offset, to)
	mark.Topic, mark.Partition, mark.Timestamp = c.topic, l.partition, windows.At(time.Now())
	producer.Produce(ctx, &mark)
}
