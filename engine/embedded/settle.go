package embedded

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// settle writes down that transactions are aborted which were under way when the broker was killed. kfake knows it when it starts on a
// folder, but does not write it: after the next kill, a later commit of the same producer would seem to be theirs, and what was
// aborted would come back. It is called before anybody else uses the broker.
func (b *Broker) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...), kgo.Dialer(b.dial), kgo.ConsumeRegex(), kgo.ConsumeTopics(".*"), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return fmt.Errorf("embedded: settle transactions: %w", err)
	}
	defer client.Close()
	open, err := unfinished(ctx, client)
	if err != nil {
		return fmt.Errorf("embedded: settle transactions: %w", err)
	}
	for _, t := range open {
		if err := t.abort(ctx, client); err != nil {
			return fmt.Errorf("embedded: settle transactions: %s/%d: %w", t.topic, t.partition, err)
		}
	}
	return nil
}

// transaction is the part of one in a partition.
type transaction struct {
	topic     string
	partition int32
	producer  int64
	epoch     int16
}

// unfinished reads all that the broker holds, and returns the transactions that have no marker at their end.
func unfinished(ctx context.Context, client *kgo.Client) ([]transaction, error) {
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx)
	if err != nil {
		return nil, err
	}
	type place struct {
		topic     string
		partition int32
	}
	behind := map[place]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			behind[place{o.Topic, o.Partition}] = o.Offset
		}
	})
	open := map[place]map[int64]int16{}
	for len(behind) > 0 {
		f := client.PollFetches(ctx)
		if err := f.Err(); err != nil {
			return nil, err
		}
		f.EachRecord(func(r *kgo.Record) {
			at := place{r.Topic, r.Partition}
			switch {
			case r.Attrs.IsControl():
				delete(open[at], r.ProducerID)
			case r.Attrs.IsTransactional():
				if open[at] == nil {
					open[at] = map[int64]int16{}
				}
				open[at][r.ProducerID] = r.ProducerEpoch
			}
			if r.Offset+1 >= behind[at] {
				delete(behind, at)
			}
		})
	}
	var list []transaction
	for at, producers := range open {
		for id, epoch := range producers {
			list = append(list, transaction{at.topic, at.partition, id, epoch})
		}
	}
	return list, nil
}

// abort writes the marker.
func (t transaction) abort(ctx context.Context, client *kgo.Client) error {
	topic := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
	topic.Topic, topic.Partitions = t.topic, []int32{t.partition}
	marker := kmsg.NewWriteTxnMarkersRequestMarker()
	marker.ProducerID, marker.ProducerEpoch, marker.Topics = t.producer, t.epoch, []kmsg.WriteTxnMarkersRequestMarkerTopic{topic}
	request := kmsg.NewPtrWriteTxnMarkersRequest()
	request.Markers = []kmsg.WriteTxnMarkersRequestMarker{marker}
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	for _, m := range response.Markers {
		for _, topic := range m.Topics {
			for _, p := range topic.Partitions {
				err = errors.Join(err, kerr.ErrorForCode(p.ErrorCode))
			}
		}
	}
	return err
}
