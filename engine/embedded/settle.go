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

// settle writes down how transactions ended that were under way when the broker was killed: one
// that is committed in any partition is committed in all of them, as a real coordinator would go on
// with it; the others are aborted. kfake takes them for aborted when it starts on a folder, but
// does not write it: after the next kill, a later commit of the same producer would seem to be
// theirs. Where any was committed it must read its folder once more, and stale is true. It is
// called before anybody else uses the broker.
func (b *Broker) settle(ctx context.Context) (stale bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...), kgo.Dialer(b.dial), kgo.ConsumeRegex(),
		kgo.ConsumeTopics(".*"), kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return false, err
	}
	defer client.Close()
	open, err := unfinished(ctx, client)
	if err != nil {
		return false, err
	}
	coordinated, err := coordinated(ctx, client)
	if err != nil {
		return false, err
	}
	for _, t := range open {
		if coordinated[t.id] {
			continue
		}
		if err := t.end(ctx, client); err != nil {
			return false, fmt.Errorf("%s/%d: %w", t.topic, t.partition, err)
		}
		stale = stale || t.committed
	}
	return stale, nil
}

// transaction is the part of one in a partition.
type transaction struct {
	topic     string
	partition int32
	producer
	committed bool // elsewhere
}

// producer names one transaction: each has its own epoch (KIP-890).
type producer struct {
	id    int64
	epoch int16
}

// coordinated are the producers whose transactions the coordinator knows to be open, after a broker
// that was closed. It ends those itself, as their producers or their time-outs say: with a second
// marker, a commit that it acknowledges would be lost to readers.
func coordinated(ctx context.Context, client *kgo.Client) (map[int64]bool, error) {
	listed, err := kadm.NewClient(client).ListTransactions(ctx, nil, []string{"Ongoing"})
	if err != nil {
		return nil, err
	}
	open := make(map[int64]bool, len(listed))
	for _, t := range listed {
		open[t.ProducerID] = true
	}
	return open, nil
}

// unfinished reads all that the broker holds, and returns the transactions that have no marker at
// their end.
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
	committed := map[producer]bool{}
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
				if isCommit(r) {
					committed[producer{r.ProducerID, r.ProducerEpoch}] = true
				}
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
			p := producer{id, epoch}
			list = append(list, transaction{at.topic, at.partition, p, committed[p]})
		}
	}
	return list, nil
}

func isCommit(r *kgo.Record) bool {
	var key kmsg.ControlRecordKey
	return key.ReadFrom(r.Key) == nil && key.Type == kmsg.ControlRecordKeyTypeCommit
}

// end writes the marker.
func (t transaction) end(ctx context.Context, client *kgo.Client) error {
	topic := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
	topic.Topic, topic.Partitions = t.topic, []int32{t.partition}
	marker := kmsg.NewWriteTxnMarkersRequestMarker()
	marker.ProducerID, marker.ProducerEpoch, marker.Committed = t.id, t.epoch, t.committed
	marker.Topics = []kmsg.WriteTxnMarkersRequestMarkerTopic{topic}
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
