package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ashi-stream/ashi/engine/internal/task"
)

// retry is when the leaders of feeds that have lost them are looked for: at once, unless that was
// just so.
type retry struct {
	due   <-chan time.Time // nil: not armed
	timer *time.Timer
	last  time.Time
	b     backoff
}

func (r *retry) arm() {
	if r.due != nil {
		return
	}
	var wait time.Duration
	if time.Since(r.last) > 10*time.Second {
		r.b.reset()
	} else {
		wait = r.b.next()
	}
	r.last = time.Now().Add(wait)
	r.timer = time.NewTimer(wait)
	r.due = r.timer.C
}

func (r *retry) stop() {
	if r.timer != nil {
		r.timer.Stop()
	}
}

// locate finds leaders and start offsets for the feeds that lack them, and returns leaders that
// have no goroutine yet.
func (f *fetcher) locate(ctx context.Context) (fresh []int32, err error) {
	topics := f.lost()
	if len(topics) == 0 {
		return nil, nil
	}
	starts, err := f.starts(ctx, topics)
	if err != nil {
		return nil, err
	}
	req := kmsg.NewPtrMetadataRequest()
	for topic := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(topic)
		req.Topics = append(req.Topics, t)
	}
	answered, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	resp, err := req.RequestWith(answered, f.client)
	if err != nil {
		return nil, err
	}
	return f.assign(resp, starts)
}

// lost is the topics with a feed that has no leader; true where one has no offset either.
func (f *fetcher) lost() map[string]bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	topics := make(map[string]bool)
	for _, d := range f.feeds {
		if d.leader < 0 {
			topics[d.topic] = topics[d.topic] || d.next < 0
		}
	}
	return topics
}

func (f *fetcher) starts(ctx context.Context, topics map[string]bool) (kadm.ListedOffsets, error) {
	var names []string
	for topic, unset := range topics {
		if unset {
			names = append(names, topic)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return kadm.NewClient(f.client).ListStartOffsets(ctx, names...)
}

func (f *fetcher) assign(resp *kmsg.MetadataResponse, starts kadm.ListedOffsets) (fresh []int32, err error) {
	leaders, ids := make(map[place]int32), make(map[string]task.TopicID)
	for _, t := range resp.Topics {
		if t.Topic == nil || t.ErrorCode != 0 {
			continue
		}
		ids[*t.Topic] = t.TopicID
		for _, p := range t.Partitions {
			if p.ErrorCode == 0 && p.Leader >= 0 {
				leaders[place{*t.Topic, p.Partition}] = p.Leader
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range f.feeds {
		if d.leader >= 0 {
			continue
		}
		if start, listed := starts.Lookup(d.topic, d.partition); d.next < 0 && listed && start.Err == nil {
			d.next = start.Offset
		}
		leader, known := leaders[place{d.topic, d.partition}]
		if !known || d.next < 0 {
			err = fmt.Errorf("topic %s partition %d has no leader now", d.topic, d.partition)
			continue
		}
		if other := f.another(d, ids[d.topic]); other != nil {
			err = other
			continue
		}
		d.leader, d.topicID = leader, ids[d.topic]
		f.names[d.topicID] = d.topic
		if f.wakes[leader] == nil {
			f.wakes[leader] = make(chan struct{}, 1)
			fresh = append(fresh, leader)
		}
		token(f.wakes[leader])
		if stop := f.idle[leader]; stop != nil {
			stop() // it does not ask for this one, and may wait for long
		}
	}
	return fresh, err
}

// anotherLimit is how many answers in a row must know another topic: a broker that has just started
// may still know the one before.
const anotherLimit = 5

// another is an error while a topic has another id than the one that a feed is of; it ends the
// fetcher when that stays so. The lock is held.
func (f *fetcher) another(d *feed, id task.TopicID) error {
	if !id.Other(d.topicID) {
		d.others = 0
		return nil
	}
	d.others++
	err := fmt.Errorf("%w: topic %s has id %s, and had %s when it was read last", ErrOtherTopic, d.topic, id, d.topicID)
	if d.others >= anotherLimit && f.fatal == nil && !d.ended {
		f.fatal = err
	}
	return err
}

func (f *fetcher) unlead(feeds []*feed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range feeds {
		d.leader = -1
	}
	token(f.stale)
}
