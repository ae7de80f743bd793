package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ashi-stream/ashi/engine/internal/rare"
	"github.com/ashi-stream/ashi/engine/internal/task"
)

// ErrOutOfRange says that the offset to read next is not in the log: older than what retention has
// left, or past the end, which happens when the topic was deleted and made again. What was built
// from the log up to there is worth nothing.
var ErrOutOfRange = errors.New("kafka: offset out of range")

// ErrOtherTopic says that a topic was deleted and made again: the offset to read next means nothing
// in the new one.
var ErrOtherTopic = task.ErrOtherTopic

const (
	// Oldest as an offset is the start of the log.
	Oldest int64 = -2

	// queueLimit is how many chunks wait for one partition's reader, and outLimit how many it may
	// have: one being read, one ready.
	queueLimit = 2
	outLimit   = 2
	maxChunk   = 1 << 20
	minChunk   = 64 << 10
	inFlight   = 8         // chunks of a partition: being fetched, queued, on their way through goka, being read
	maxAhead   = 512 << 20 // of all partitions; many of them get smaller chunks
	// maxAnswer is no bound beside those of the chunks: kfake says nothing of what is aborted in a
	// partition in the middle of which it cuts an answer short, and what was aborted would be read.
	maxAnswer = maxAhead / inFlight
	// shortPoll is the wait for data where a partition sits out because its queue is full: it may
	// have room any moment; and where it is not known whether one has reached its end.
	shortPoll = 10 * time.Millisecond
)

// fetcher reads committed records of its feeds, a goroutine per leader, and queues them per feed. A
// feed whose queue is full sits out; its neighbours go on. It works on raw batches, because only
// their headers tell a position past markers, aborted data and what compaction took away, and
// because decoding is then done where the records are used.
type fetcher struct {
	client  *kgo.Client
	log     *slog.Logger
	maxWait time.Duration // how long a broker may wait for data
	// go on from the log's start where retention was faster, rather than fail
	resume bool
	// FollowConfig.End, GroupConfig.End; may be nil
	told func(topic string, partition int32, end int64, asked time.Time)

	stale chan struct{} // a token: a feed has lost its leader
	fresh chan struct{} // a token: a feed has none yet

	mu      sync.Mutex // guards the feeds' fields and what follows
	feeds   []*feed
	byPlace map[place]*feed
	ahead   int                          // bytes of all feeds
	size    int32                        // of a chunk
	names   map[[16]byte]string          // newer brokers name topics in answers by id only
	wakes   map[int32]chan struct{}      // per leader, a token: a feed has room again
	idle    map[int32]context.CancelFunc // per leader, of a request that waits for data
	turn    int
	fatal   error
	rare    *rare.Log
}

// newFetcher takes how many bytes may be on their way to the readers at a time.
func newFetcher(client *kgo.Client, log *slog.Logger, maxWait time.Duration, ahead int, feeds ...*feed) *fetcher {
	if ahead == 0 {
		ahead = maxAhead
	}
	f := &fetcher{
		client: client, log: log, maxWait: maxWait, ahead: ahead, byPlace: make(map[place]*feed),
		stale: make(chan struct{}, 1), fresh: make(chan struct{}, 1),
		names: make(map[[16]byte]string), wakes: make(map[int32]chan struct{}),
		idle: make(map[int32]context.CancelFunc), rare: rare.New(log),
	}
	f.expect(len(feeds))
	f.add(feeds...)
	return f
}

// run fetches until ctx is done, which is no error, or until a feed cannot go on.
func (f *fetcher) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var loops sync.WaitGroup
	defer loops.Wait()
	defer cancel()

	var retry retry
	defer retry.stop()
	again := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.fresh:
		case <-f.stale:
			if err := f.failure(); err != nil {
				return err
			}
			retry.arm()
			continue
		case <-retry.due:
			retry.due = nil
		}
		leaders, err := f.locate(ctx)
		if err != nil {
			if again { // a broker may hear of a new partition a moment later than others
				f.rare.Warn("kafka: cannot find the leaders", "error", err)
			}
			token(f.stale)
		}
		again = err != nil
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

// fail ends the fetcher, unless the feed is not wanted any more.
func (f *fetcher) fail(d *feed, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d.ended {
		return
	}
	if f.fatal == nil {
		f.fatal = err
	}
	token(f.stale)
}

// fetchFrom is the loop of one leader.
func (f *fetcher) fetchFrom(ctx context.Context, leader int32) {
	f.mu.Lock()
	wake := f.wakes[leader]
	f.mu.Unlock()
	for ctx.Err() == nil {
		req, asked, turn := f.request(leader)
		if len(asked) == 0 {
			select {
			case <-ctx.Done():
			case <-wake:
			}
			continue
		}
		answer, err := f.ask(ctx, leader, req)
		if errors.Is(err, errFresh) {
			continue
		}
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = kerr.ErrorForCode(answer.ErrorCode)
		}
		if err != nil {
			f.rare.Warn("kafka: fetch failed", "broker", leader, "error", err)
			f.unlead(asked)
			continue
		}
		f.absorb(ctx, answer, turn)
	}
}

// errFresh says that a request was given up because it lacks a feed that was added.
var errFresh = errors.New("kafka: a partition was added")

// ask sends a request, and gives it up when it waits for data while a feed is added: one that is
// not in it would wait too. That costs a connection, and happens when partitions move.
func (f *fetcher) ask(ctx context.Context, leader int32, req *kmsg.FetchRequest) (*kmsg.FetchResponse, error) {
	answered, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if req.MaxWaitMillis > int32(shortPoll.Milliseconds()) {
		if !f.idles(leader, func() { cancel(errFresh) }) {
			return nil, errFresh
		}
		defer f.busy(leader)
	}
	answer, err := f.client.Broker(int(leader)).Request(answered, req)
	if err != nil {
		if errors.Is(context.Cause(answered), errFresh) {
			err = errFresh
		}
		return nil, err
	}
	return answer.(*kmsg.FetchResponse), nil
}

// idles notes how to give a request up; false if a feed has been added since it was made.
func (f *fetcher) idles(leader int32, stop context.CancelFunc) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.ContainsFunc(f.feeds, func(d *feed) bool { return d.leader == leader && d.asked == 0 }) {
		return false
	}
	f.idle[leader] = stop
	return true
}

func (f *fetcher) busy(leader int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.idle, leader)
}

// request asks for the leader's feeds that have room. Brokers fill an answer in the order of the
// request, so every request begins with another feed.
func (f *fetcher) request(leader int32) (*kmsg.FetchRequest, []*feed, int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	req := kmsg.NewPtrFetchRequest()
	req.MinBytes, req.MaxBytes, req.IsolationLevel = 1, maxAnswer, 1
	wait := f.maxWait
	var asked []*feed
	now := time.Now()
	topics := make(map[string]int)
	f.turn++
	for i := range f.feeds {
		d := f.feeds[(i+f.turn)%len(f.feeds)]
		if d.leader != leader {
			continue
		}
		if len(d.queue) >= queueLimit {
			wait = shortPoll
			continue
		}
		if !d.atEnd {
			wait = shortPoll // a reader may wait to hear that there is nothing
		}
		asked, d.asked, d.askedAt = append(asked, d), f.turn, now
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
	return req, asked, f.turn
}

// absorb queues what was answered to a request.
func (f *fetcher) absorb(ctx context.Context, resp *kmsg.FetchResponse, turn int) {
	bytes := 0
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			bytes += len(p.RecordBatches)
		}
	}
	for ti := range resp.Topics {
		t := &resp.Topics[ti]
		for pi := range t.Partitions {
			p := &t.Partitions[pi]
			if d, asked := f.find(t, p.Partition, turn); d != nil {
				f.take(ctx, d, p, asked, bytes == 0)
			}
		}
	}
}

// find is the feed for which a request asked, and when it did. A partition's feed may be a new one
// since, with another offset.
func (f *fetcher) find(t *kmsg.FetchResponseTopic, partition int32, turn int) (*feed, time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	topic := t.Topic
	if topic == "" {
		topic = f.names[t.TopicID]
	}
	d := f.byPlace[place{topic, partition}]
	if d == nil || d.asked != turn {
		return nil, time.Time{}
	}
	return d, d.askedAt
}

// take queues one partition's answer. Empty says that the whole answer holds no byte, so that the
// sizes asked for cannot be what kept this partition's records out: then there is nothing up to the
// last stable offset.
func (f *fetcher) take(ctx context.Context, d *feed, p *kmsg.FetchResponseTopicPartition, asked time.Time, empty bool) {
	if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
		f.refused(ctx, d, err)
		return
	}
	if f.told != nil {
		f.told(d.topic, d.partition, p.LastStableOffset, asked)
	}
	length, next, err := wholeBatches(p.RecordBatches)
	if err != nil {
		f.fail(d, fmt.Errorf("topic %s partition %d: %w", d.topic, d.partition, err))
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
	d.queue = append(d.queue, &chunk{raw: p.RecordBatches[:length], from: d.next, next: next,
		aborted: p.AbortedTransactions})
	d.next, d.fromStart = next, false
	d.atEnd = next >= p.LastStableOffset
	d.settle()
	token(d.arrived)
}

// answered notes how far an answer without records says that committed ones go; the lock is held. A
// reader that waits to know is woken.
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
	// An unknown error is the broker's, and others may come after it: a disk that fails, a bug that
	// the next leader does not meet.
	if !kerr.IsRetriable(err) && !errors.Is(err, kerr.UnknownServerError) {
		err = denied(err, ACL{Resource: Topic, Name: d.topic, Operation: Read})
		f.fail(d, fmt.Errorf("kafka: fetch topic %s partition %d: %w", d.topic, d.partition, err))
		return
	}
	f.rare.Warn("kafka: fetch refused, looking for the leader", "topic", d.topic, "partition", d.partition,
		"error", err)
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
		f.fail(d, fmt.Errorf("%w: topic %s partition %d begins at %d, and %d is to be read next", ErrOutOfRange,
			d.topic, d.partition, start.Offset, next))
		return
	}
	f.log.Warn("kafka: records were deleted before they were read", "topic", d.topic, "partition", d.partition,
		"from", next, "to", start.Offset)
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
