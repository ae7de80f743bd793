package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrOutOfRange says that the offset to read next is not in the log: older than what retention has left, or past the end,
// which happens when the topic was deleted and made again. What was built from the log up to there is worth nothing.
var ErrOutOfRange = errors.New("kafka: offset out of range")

const (
	// Oldest as an offset is the start of the log.
	Oldest int64 = -2

	// queueLimit is how many chunks wait for one partition's reader, and outLimit how many it may have: one being read, one ready.
	queueLimit = 2
	outLimit   = 2
	maxChunk   = 1 << 20
	minChunk   = 64 << 10
	inFlight   = 8         // chunks of a partition: being fetched, queued, on their way through goka, being read
	maxAhead   = 512 << 20 // of all partitions; many of them get smaller chunks
	maxAnswer  = 16 << 20
	// shortPoll is the wait for data where a partition sits out because its queue is full: it may have room any moment; and where it
	// is not known whether one has reached its end.
	shortPoll = 10 * time.Millisecond
)

// feed is one partition being fetched. Its fields belong to the fetcher and its lock.
type feed struct {
	topic     string
	partition int32
	fromStart bool // nothing was read yet, and it began at Oldest

	next    int64
	leader  int32 // -1: not known
	topicID [16]byte
	size    int32
	queue   []*chunk
	out     int  // chunks that were popped and are not used up
	atEnd   bool // the last answer left nothing up to the last stable offset
	ended   bool
	dry     atomic.Bool // nothing to read now: at the end, and nothing queued or out

	arrived chan struct{} // a token whenever the queue gets a chunk, has one to give again, or runs dry; feeds of one reader share it
}

// settle brings dry up to date; the fetcher's lock is held.
func (d *feed) settle() { d.dry.Store(d.atEnd && len(d.queue) == 0 && d.out == 0) }

// fetcher reads committed records of its feeds, a goroutine per leader, and queues them per feed. A feed whose queue is full
// sits out; its neighbours go on. It works on raw batches, because only their headers tell a position past markers, aborted
// data and what compaction took away, and because decoding is then done where the records are used.
type fetcher struct {
	client  *kgo.Client
	log     *slog.Logger
	maxWait time.Duration                                  // how long a broker may wait for data
	resume  bool                                           // go on from the log's start where retention was faster, rather than fail
	told    func(topic string, partition int32, end int64) // FollowConfig.End, GroupConfig.End; may be nil

	stale   chan struct{} // a token: a feed has lost its leader
	feeds   []*feed
	byPlace map[place]*feed

	mu    sync.Mutex              // guards the feeds' fields and what follows
	names map[[16]byte]string     // newer brokers name topics in answers by id only
	wakes map[int32]chan struct{} // per leader, a token: a feed has room again
	turn  int
	fatal error
	rare  rareLog
}

type place struct {
	topic     string
	partition int32
}

// newFetcher takes how many bytes may be on their way to the readers at a time.
func newFetcher(client *kgo.Client, log *slog.Logger, maxWait time.Duration, ahead int, feeds []*feed) *fetcher {
	if ahead == 0 {
		ahead = maxAhead
	}
	size := int32(min(max(ahead/inFlight/max(len(feeds), 1), minChunk), maxChunk))
	byPlace := make(map[place]*feed, len(feeds))
	for _, d := range feeds {
		d.leader, d.size, d.fromStart = -1, size, d.fromStart || d.next < 0
		byPlace[place{d.topic, d.partition}] = d
	}
	return &fetcher{
		client: client, log: log, maxWait: maxWait, feeds: feeds, byPlace: byPlace,
		stale: make(chan struct{}, 1), names: make(map[[16]byte]string), wakes: make(map[int32]chan struct{}),
		rare: rareLog{log: log},
	}
}

// pop takes the oldest chunk of a feed, nil if there is none, or if the reader has not used up what it has.
func (f *fetcher) pop(d *feed) *chunk {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(d.queue) == 0 || d.out == outLimit {
		return nil
	}
	c := d.queue[0]
	d.queue[0] = nil
	d.queue = d.queue[1:]
	d.out++
	if wake := f.wakes[d.leader]; wake != nil {
		token(wake)
	}
	return c
}

// used says that the reader has used up the oldest chunk that it popped.
func (f *fetcher) used(d *feed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d.out == outLimit && len(d.queue) > 0 {
		token(d.arrived)
	}
	d.out--
	d.settle()
}

// end stops fetching a feed and drops what is queued.
func (f *fetcher) end(d *feed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d.ended, d.queue = true, nil
}

// run fetches until ctx is done, which is no error, or until a feed cannot go on.
func (f *fetcher) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var loops sync.WaitGroup
	defer loops.Wait()
	defer cancel()

	var b backoff
	var last time.Time
	token(f.stale)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.stale:
		}
		if err := f.failure(); err != nil {
			return err
		}
		if time.Since(last) > 10*time.Second {
			b.reset()
		} else if b.wait(ctx) != nil {
			return nil
		}
		last = time.Now()
		leaders, err := f.locate(ctx)
		if err != nil {
			f.warn("kafka: cannot find the leaders", "error", err)
			token(f.stale)
		}
		for _, leader := range leaders {
			loops.Go(func() { f.fetchFrom(ctx, leader) })
		}
	}
}

func (f *fetcher) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fatal
}

func (f *fetcher) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fatal == nil {
		f.fatal = err
	}
	token(f.stale)
}

func (f *fetcher) warn(msg string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rare.warn(msg, args...)
}

// locate finds leaders and start offsets for the feeds that lack them, and returns leaders that have no goroutine yet.
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
		if d.leader < 0 && !d.ended {
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
	leaders, ids := make(map[place]int32), make(map[string][16]byte)
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
		if d.leader >= 0 || d.ended {
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
		d.leader, d.topicID = leader, ids[d.topic]
		f.names[d.topicID] = d.topic
		if f.wakes[leader] == nil {
			f.wakes[leader] = make(chan struct{}, 1)
			fresh = append(fresh, leader)
		}
		token(f.wakes[leader])
	}
	return fresh, err
}

// fetchFrom is the loop of one leader.
func (f *fetcher) fetchFrom(ctx context.Context, leader int32) {
	f.mu.Lock()
	wake := f.wakes[leader]
	f.mu.Unlock()
	for ctx.Err() == nil {
		req, asked := f.request(leader)
		if len(asked) == 0 {
			select {
			case <-ctx.Done():
			case <-wake:
			}
			continue
		}
		answer, err := f.client.Broker(int(leader)).Request(ctx, req)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = kerr.ErrorForCode(answer.(*kmsg.FetchResponse).ErrorCode)
		}
		if err != nil {
			f.warn("kafka: fetch failed", "broker", leader, "error", err)
			f.unlead(asked)
			continue
		}
		f.absorb(ctx, answer.(*kmsg.FetchResponse))
	}
}

func (f *fetcher) unlead(feeds []*feed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range feeds {
		d.leader = -1
	}
	token(f.stale)
}

// request asks for the leader's feeds that have room. Brokers fill an answer in the order of the request, so every request
// begins with another feed.
func (f *fetcher) request(leader int32) (*kmsg.FetchRequest, []*feed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	req := kmsg.NewPtrFetchRequest()
	req.MinBytes, req.MaxBytes, req.IsolationLevel = 1, maxAnswer, 1
	wait := f.maxWait
	var asked []*feed
	topics := make(map[string]int)
	f.turn++
	for i := range f.feeds {
		d := f.feeds[(i+f.turn)%len(f.feeds)]
		if d.leader != leader || d.ended {
			continue
		}
		if len(d.queue) >= queueLimit {
			wait = shortPoll
			continue
		}
		if !d.atEnd {
			wait = shortPoll // a reader may wait to hear that there is nothing
		}
		asked = append(asked, d)
		at, known := topics[d.topic]
		if !known {
			t := kmsg.NewFetchRequestTopic()
			t.Topic, t.TopicID = d.topic, d.topicID
			at = len(req.Topics)
			topics[d.topic], req.Topics = at, append(req.Topics, t)
		}
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = d.partition, d.next, d.size
		req.Topics[at].Partitions = append(req.Topics[at].Partitions, p)
	}
	req.MaxWaitMillis = int32(wait.Milliseconds())
	return req, asked
}

// absorb queues what was answered.
func (f *fetcher) absorb(ctx context.Context, resp *kmsg.FetchResponse) {
	bytes := 0
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			bytes += len(p.RecordBatches)
		}
	}
	for ti := range resp.Topics {
		t := &resp.Topics[ti]
		topic := t.Topic
		if topic == "" {
			f.mu.Lock()
			topic = f.names[t.TopicID]
			f.mu.Unlock()
		}
		for pi := range t.Partitions {
			p := &t.Partitions[pi]
			if d := f.byPlace[place{topic, p.Partition}]; d != nil {
				f.take(ctx, d, p, bytes == 0)
			}
		}
	}
}

// take queues one partition's answer. Empty says that the whole answer holds no byte, so that the sizes asked for cannot be
// what kept this partition's records out: then there is nothing up to the last stable offset.
func (f *fetcher) take(ctx context.Context, d *feed, p *kmsg.FetchResponseTopicPartition, empty bool) {
	if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
		f.refused(ctx, d, err)
		return
	}
	if f.told != nil {
		f.told(d.topic, d.partition, p.LastStableOffset)
	}
	length, next, err := wholeBatches(p.RecordBatches)
	if err != nil {
		f.fail(fmt.Errorf("topic %s partition %d: %w", d.topic, d.partition, err))
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case d.ended:
		return
	case length > 0 && next > d.next:
	case len(p.RecordBatches) > 0:
		d.size *= 2 // not one whole batch fits
		return
	case empty && p.LastStableOffset > d.next:
		next = p.LastStableOffset
	default:
		f.answered(d, p.LastStableOffset)
		return
	}
	d.queue = append(d.queue, &chunk{raw: p.RecordBatches[:length], from: d.next, next: next, aborted: p.AbortedTransactions})
	d.next, d.fromStart = next, false
	d.atEnd = next >= p.LastStableOffset
	d.settle()
	token(d.arrived)
}

// answered notes how far an answer without records says that committed ones go; the lock is held. A reader that waits to know is
// woken.
func (f *fetcher) answered(d *feed, stable int64) {
	d.atEnd = d.next >= stable
	wasDry := d.dry.Load()
	if d.settle(); d.dry.Load() && !wasDry {
		token(d.arrived)
	}
}

// refused decides what a partition's error means.
func (f *fetcher) refused(ctx context.Context, d *feed, err error) {
	if errors.Is(err, kerr.OffsetOutOfRange) {
		f.outOfRange(ctx, d)
		return
	}
	if !kerr.IsRetriable(err) {
		err = denied(err, ACL{Resource: Topic, Name: d.topic, Operation: Read})
		f.fail(fmt.Errorf("kafka: fetch topic %s partition %d: %w", d.topic, d.partition, err))
		return
	}
	f.warn("kafka: fetch refused, looking for the leader", "topic", d.topic, "partition", d.partition, "error", err)
	f.unlead([]*feed{d})
}

func (f *fetcher) outOfRange(ctx context.Context, d *feed) {
	f.mu.Lock()
	next, fromStart := d.next, d.fromStart
	f.mu.Unlock()
	asked, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	listed, err := kadm.NewClient(f.client).ListStartOffsets(asked, d.topic)
	start, known := listed.Lookup(d.topic, d.partition)
	if err != nil || !known || start.Err != nil {
		f.unlead([]*feed{d})
		return
	}
	if next >= start.Offset || !(f.resume || fromStart) {
		f.fail(fmt.Errorf("%w: topic %s partition %d begins at %d, and %d is to be read next", ErrOutOfRange, d.topic, d.partition, start.Offset, next))
		return
	}
	f.log.Warn("kafka: records were deleted before they were read", "topic", d.topic, "partition", d.partition, "from", next, "to", start.Offset)
	f.mu.Lock()
	defer f.mu.Unlock()
	d.queue = append(d.queue, &chunk{from: start.Offset, next: start.Offset})
	d.next, d.atEnd = start.Offset, false
	d.settle()
	token(d.arrived)
}

// token leaves one token in a channel of capacity one.
func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
