package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/windows"
)

const (
	// maxBufferedRecords wait for the broker at most: a few requests' worth. Each takes some 300
	// bytes beside its own.
	maxBufferedRecords = 1 << 14
	maxBufferedBytes   = 64 << 20
	// minBufferedBytes has room for a record of the size that brokers take, and for a second
	// request being filled.
	minBufferedBytes = 4 << 20
	smallestBatch    = 512 // that a topic may be held to: one header and little more
	recordsAtOnce    = 256 // allocated, in place of one by one
	// abortTimeout bounds the polite end of a transaction that failed. A broker that does not hear
	// it aborts by itself. It is over well before closeTimeout, for which a worker is waited whose
	// last commit failed and which then has a store to close.
	abortTimeout = closeTimeout / 2
	// listEvery is how often list looks.
	listEvery = 100 * time.Microsecond
	// maxMillis is as far as franz-go's nanoseconds reach: the year 2262, and 1677 the other way.
	maxMillis windows.Time = math.MaxInt64 / 1_000_000
)

// ProducerConfig is what differs between producers.
type ProducerConfig struct {
	// TransactionalID names the task for as long as its log lives. Empty: no transactions; records
	// are visible as they are written, and those of a failed commit may be, which is at-least-once.
	TransactionalID string
	// Log, without a TransactionalID, is the topic that tells how far the task is: its records are
	// kept back until Commit has the acknowledgements of all others. Otherwise a log could say that
	// work is done of which the results never arrived. Empty: none is.
	Log string
	// Buffer bounds the bytes of records that wait for the broker: beyond it Produce waits.
	// Default, and most: 64 MiB; least: 4 MiB.
	Buffer int
	// Limits are what topics take, as Admin.Limits tells it; a batch of a topic that is not in it
	// has Client.BatchBytes at most.
	Limits map[string]task.TopicLimits
}

// batchBytes is the limit of a topic as franz-go wants it; other is that of topics nobody has told
// it of.
func (pc ProducerConfig) batchBytes(topic string, other int32) int32 {
	limit, known := pc.Limits[topic]
	if !known {
		return other
	}
	return int32(max(limit.Bytes, smallestBatch))
}

// LargestRecord is the most bytes of a record that a producer with a Buffer takes.
func LargestRecord(buffer int) int { return ProducerConfig{Buffer: buffer}.buffer() }

func (pc ProducerConfig) buffer() int {
	if pc.Buffer == 0 {
		return maxBufferedBytes
	}
	return min(max(pc.Buffer, minBufferedBytes), maxBufferedBytes)
}

// Producer is a [task.Producer] on a cluster: acks from all in-sync replicas, idempotent, keys
// placed by [Partition]. Timestamps before 1677 or after 2262 are written as those bounds. One
// goroutine at a time may use it.
//
// A commit whose outcome nobody told (the broker was lost while ending the transaction) is an error
// like the others, but its records may turn out to be visible. The truth is in the log: whoever
// opens the same TransactionalID next gets it settled, and must read the log before writing.
type Producer struct {
	cfg    Config
	client *kgo.Client
	id     string
	log    string        // ProducerConfig.Log; empty with transactions
	held   []task.Output // of the log
	open   bool          // a transaction is under way
	free   []*kgo.Record // to be used again
	done   func(*kgo.Record, error)

	mu      sync.Mutex    // guards what franz-go's goroutine sets
	err     error         // the first since the last commit
	refused []kgo.Record  // of batches that a broker has refused because of what is in them, since the last commit
	acked   []*kgo.Record // that franz-go has let go of
	topics  []written     // a partition of each topic that was written to
	listed  int           // so many of topics are in franz-go's list of partitions (list); Commit's goroutine has it
}

// written is a partition that took a record.
type written struct {
	topic     string
	partition int32
}

var _ task.Producer = (*Producer)(nil)

// NewProducer connects a producer. With a TransactionalID it returns only when its predecessor is
// fenced and the predecessor's open transaction is aborted; that takes as long as the brokers need,
// or ends with ctx, or with an error that names the addresses when none answers within 10 s.
func NewProducer(ctx context.Context, cfg Config, pc ProducerConfig) (*Producer, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	dials := new(dialErrors)
	opts := []kgo.Opt{
		kgo.WithHooks(dials),
		kgo.RecordPartitioner(kgo.BasicConsistentPartitioner(func(string) func(*kgo.Record,
			int) int {
			return choose
		})),
		kgo.MaxBufferedRecords(maxBufferedRecords),
		kgo.MaxBufferedBytes(pc.buffer()),
		kgo.ProducerBatchMaxBytesFn(func(topic string) int32 { return pc.batchBytes(topic, cfg.Client.batchBytes()) }),
	}
	if pc.TransactionalID != "" {
		opts = append(opts, kgo.TransactionalID(pc.TransactionalID), kgo.TransactionTimeout(cfg.TransactionTimeout))
	}
	client, err := cfg.connect(append(opts, cfg.Client.producing()...)...)
	if err != nil {
		return nil, err
	}
	p := &Producer{cfg: cfg, client: client, id: pc.TransactionalID}
	if p.id == "" {
		p.log = pc.Log
	}
	p.done = p.acknowledged
	if err := p.initialise(ctx); err != nil {
		client.Close()
		err = fmt.Errorf("kafka: open producer %q at %s: %w", p.id, cfg.addresses(), dials.explain(err))
		return nil, cfg.Advise(err, ACL{Resource: TransactionalID, Name: p.id, Operation: Write},
			ACL{Resource: Cluster, Operation: IdempotentWrite})
	}
	return p, nil
}

// initialise takes a producer id, which is what fences the predecessor.
func (p *Producer) initialise(ctx context.Context) error {
	reach, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := p.client.Ping(reach); err != nil {
		return err
	}
	if err := p.allowed(reach); err != nil {
		return err
	}
	// Settling a large transaction of the predecessor may take longer than reaching a broker.
	settle, cancel := context.WithTimeout(ctx, p.cfg.TransactionTimeout)
	defer cancel()
	_, _, err := p.client.ProducerID(settle)
	return err
}

// allowed asks for the transaction's coordinator, which franz-go would ask for ever where access
// control does not let it know. What time can heal is left to franz-go.
func (p *Producer) allowed(ctx context.Context) error {
	if p.id == "" {
		return nil
	}
	err := kadm.NewClient(p.client).FindTxnCoordinators(ctx, p.id).Error()
	if errors.Is(err, kerr.TransactionalIDAuthorizationFailed) {
		return err
	}
	return nil
}

// choose is the record's own partition, or its key's.
func choose(r *kgo.Record, n int) int {
	if r.Partition != task.OnKey {
		return int(r.Partition)
	}
	return int(Partition(r.Key, int32(n)))
}

// Produce is [task.Producer]'s.
func (p *Producer) Produce(ctx context.Context, o *task.Output) {
	if !p.open {
		p.begin()
	}
	if p.log != "" && o.Topic == p.log {
		p.held = append(p.held, *o)
		return
	}
	p.send(ctx, o)
}

func (p *Producer) send(ctx context.Context, o *task.Output) {
	r := p.record()
	r.Topic, r.Partition, r.Key, r.Value = o.Topic, o.Partition, o.Key, o.Value
	r.Timestamp = time.UnixMilli(int64(min(max(o.Timestamp, -maxMillis), maxMillis)))
	for _, h := range o.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	done := p.done
	if o.Offset != nil {
		at := o.Offset
		done = func(r *kgo.Record, err error) {
			*at = r.Offset
			p.done(r, err)
		}
	}
	p.client.Produce(ctx, r, done)
}

func (p *Producer) begin() {
	p.open = true
	if p.id == "" {
		return
	}
	if err := p.client.BeginTransaction(); err != nil {
		p.acknowledged(nil, err)
	}
}

// record is one to be used: those that were acknowledged are, within a transaction too, which may
// be of millions.
func (p *Producer) record() *kgo.Record {
	if len(p.free) == 0 {
		p.mu.Lock()
		p.free, p.acked = p.acked, p.free
		p.mu.Unlock()
	}
	if len(p.free) == 0 {
		more := make([]kgo.Record, recordsAtOnce)
		for i := range more {
			p.free = append(p.free, &more[i])
		}
	}
	last := len(p.free) - 1
	r := p.free[last]
	p.free = p.free[:last]
	return r
}

// acknowledged takes a record back from franz-go, which does not look at it any more.
func (p *Producer) acknowledged(r *kgo.Record, err error) {
	var to written
	if r != nil {
		to = written{r.Topic, r.Partition}
		err = denied(err, ACL{Resource: Topic, Name: r.Topic, Operation: Write}, ACL{Resource: TransactionalID,
			Name: p.id, Operation: Write})
		if refused(err) {
			p.suspect(r)
		}
		*r = kgo.Record{Headers: r.Headers[:0]}
		clear(r.Headers[:cap(r.Headers)])
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if r != nil {
		p.acked = append(p.acked, r)
	}
	if err == nil {
		p.noteLocked(to)
	} else if p.err == nil {
		p.err = err
	}
}

// noteLocked remembers where the first record of each topic went. There are few topics.
func (p *Producer) noteLocked(to written) {
	for i := range p.topics {
		if p.topics[i].topic == to.topic {
			return
		}
	}
	p.topics = append(p.topics, to)
}

// list waits until franz-go's list of partitions has those that were written to. It sends the first
// records of a topic before it puts the topic's partitions there, and EndTransaction goes by that
// list alone: if it is faster, a commit of nothing but such records is made an abort, and nobody is
// told. It takes a moment: the goroutine that has sent the records is about to do it.
func (p *Producer) list(ctx context.Context) error {
	p.mu.Lock()
	news := p.topics[p.listed:]
	p.mu.Unlock()
	for _, w := range news {
		for !p.lists(w) {
			select {
			case <-ctx.Done():
				return fmt.Errorf("kafka: waiting for the list of partitions to have %s/%d: %w", w.topic, w.partition,
					ctx.Err())
			case <-time.After(listEvery):
			}
		}
		p.listed++
	}
	return nil
}

// lists says that franz-go's list has a partition. One that took a record has a leader there, also
// when that is lost: franz-go keeps the last one beside the error.
func (p *Producer) lists(w written) bool {
	leader, _, _ := p.client.PartitionLeader(w.topic, w.partition)
	return leader >= 0
}

func (p *Producer) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Commit is [task.Producer]'s. It waits TransactionTimeout at most. When it returns, the
// transaction is decided; brokers may write the markers that show its records to readers a few
// milliseconds later. A successor's NewProducer waits for them.
func (p *Producer) Commit(ctx context.Context) error {
	if !p.open {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.TransactionTimeout)
	defer cancel()
	if err := p.end(ctx); err != nil {
		p.abort()
		if errors.Is(err, ErrDenied) {
			// to begin anew would not help
			return p.cfg.Advise(fmt.Errorf("kafka: commit of producer %q: %w", p.id, err))
		}
		if found := p.findRefused(ctx); len(found) > 0 {
			return fmt.Errorf("kafka: commit of producer %q: %w", p.id, &task.RefusedError{Records: found})
		}
		verdict := task.ErrAborted
		if fenced(err) {
			verdict = task.ErrFenced
		}
		return fmt.Errorf("kafka: commit of producer %q: %w: %w", p.id, verdict, err)
	}
	p.open = false
	return nil
}

func (p *Producer) end(ctx context.Context) error {
	if err := p.client.Flush(ctx); err != nil {
		return err
	}
	if err := p.failure(); err != nil {
		return err
	}
	if p.id == "" {
		return p.sendHeld(ctx)
	}
	if err := p.list(ctx); err != nil {
		return err
	}
	return p.client.EndTransaction(ctx, kgo.TryCommit)
}

// sendHeld sends the records of the log, and waits for them.
func (p *Producer) sendHeld(ctx context.Context) error {
	for i := range p.held {
		p.send(ctx, &p.held[i])
	}
	clear(p.held)
	p.held = p.held[:0]
	if err := p.client.Flush(ctx); err != nil {
		return err
	}
	return p.failure()
}

// Close is [task.Producer]'s. It waits a few seconds at most.
func (p *Producer) Close() error {
	p.abort()
	p.client.Close()
	return nil
}

// CutOff is for a producer whose goroutine does not return: what was not acknowledged when CutOff
// returns never gets into the log, except for the requests that were already sent, which belong to
// a transaction that nobody commits. Any goroutine may call it; Close may follow.
func (p *Producer) CutOff() { p.client.Close() }

// abort ends the transaction under way. That it may fail is no loss: the broker aborts at the
// transaction's timeout, or when the successor opens the same id.
func (p *Producer) abort() {
	if !p.open {
		return
	}
	p.open = false
	if p.id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), abortTimeout)
	defer cancel()
	err := p.client.AbortBufferedRecords(ctx)
	if err == nil {
		err = p.client.EndTransaction(ctx, kgo.TryAbort)
	}
	if err != nil && !fenced(err) {
		p.cfg.Logger.Warn("kafka: transaction left to the broker to abort", "producer", p.id, "error", err)
	}
}

// fenced reports whether the error says that a newer producer has the transactional id.
func fenced(err error) bool {
	for _, e := range []error{
		kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.InvalidProducerIDMapping,
		kerr.TransactionalIDNotFound, kerr.TransactionCoordinatorFenced,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
