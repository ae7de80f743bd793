package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/windows"
)

const (
	maxBufferedRecords = 1 << 16
	maxBufferedBytes   = 64 << 20
	recordsAtOnce      = 256 // allocated, in place of one by one
	// abortTimeout bounds the polite end of a transaction that failed. A broker that does not hear it aborts by itself. It is over well
	// before closeTimeout, for which a worker is waited whose last commit failed and which then has a store to close.
	abortTimeout = closeTimeout / 2
	// maxMillis is as far as franz-go's nanoseconds reach: the year 2262, and 1677 the other way.
	maxMillis windows.Time = math.MaxInt64 / 1_000_000
)

// ProducerConfig is what differs between producers.
type ProducerConfig struct {
	// TransactionalID names the task for as long as its log lives. Empty: no transactions; records are visible as they are
	// written, and those of a failed commit may be, which is at-least-once.
	TransactionalID string
}

// Producer is a [task.Producer] on a cluster: acks from all in-sync replicas, idempotent, uncompressed, keys placed by
// [Partition]. Timestamps before 1677 or after 2262 are written as those bounds. One goroutine at a time may use it.
//
// A commit whose outcome nobody told (the broker was lost while ending the transaction) is an error like the others, but its
// records may turn out to be visible. The truth is in the log: whoever opens the same TransactionalID next gets it settled,
// and must read the log before writing.
type Producer struct {
	cfg     Config
	client  *kgo.Client
	id      string
	open    bool          // a transaction is under way
	records []*kgo.Record // reused by every transaction
	used    int           // of records, in this transaction
	done    func(*kgo.Record, error)

	mu  sync.Mutex
	err error // the first since the last commit; set by franz-go's goroutine
}

var _ task.Producer = (*Producer)(nil)

// NewProducer connects a producer. With a TransactionalID it returns only when its predecessor is fenced and the
// predecessor's open transaction is aborted; that takes as long as the brokers need, or ends with ctx, or with an error that
// names the addresses when none answers within 10 s.
func NewProducer(ctx context.Context, cfg Config, pc ProducerConfig) (*Producer, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	dials := new(dialErrors)
	opts := []kgo.Opt{
		kgo.WithHooks(dials),
		kgo.RecordPartitioner(kgo.BasicConsistentPartitioner(func(string) func(*kgo.Record, int) int { return choose })),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MaxBufferedRecords(maxBufferedRecords),
		kgo.MaxBufferedBytes(maxBufferedBytes),
	}
	if pc.TransactionalID != "" {
		opts = append(opts, kgo.TransactionalID(pc.TransactionalID), kgo.TransactionTimeout(cfg.TransactionTimeout))
	}
	client, err := cfg.connect(opts...)
	if err != nil {
		return nil, err
	}
	p := &Producer{cfg: cfg, client: client, id: pc.TransactionalID}
	p.done = p.acknowledged
	if err := p.initialise(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("kafka: open producer %q at %s: %w", p.id, cfg.addresses(), dials.explain(err))
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
	// Settling a large transaction of the predecessor may take longer than reaching a broker.
	settle, cancel := context.WithTimeout(ctx, p.cfg.TransactionTimeout)
	defer cancel()
	_, _, err := p.client.ProducerID(settle)
	return err
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

// record is the next one of this transaction; franz-go has let go of all those of the last.
func (p *Producer) record() *kgo.Record {
	if p.used == len(p.records) {
		more := make([]kgo.Record, recordsAtOnce)
		for i := range more {
			p.records = append(p.records, &more[i])
		}
	}
	r := p.records[p.used]
	p.used++
	return r
}

func (p *Producer) acknowledged(_ *kgo.Record, err error) {
	if err == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
}

func (p *Producer) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Commit is [task.Producer]'s. It waits TransactionTimeout at most. When it returns, the transaction is decided; brokers may
// write the markers that show its records to readers a few milliseconds later. A successor's NewProducer waits for them.
func (p *Producer) Commit(ctx context.Context) error {
	if !p.open {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.TransactionTimeout)
	defer cancel()
	if err := p.end(ctx); err != nil {
		p.abort()
		verdict := task.ErrAborted
		if fenced(err) {
			verdict = task.ErrFenced
		}
		return fmt.Errorf("kafka: commit of producer %q: %w: %w", p.id, verdict, err)
	}
	p.open = false
	p.recycle()
	return nil
}

func (p *Producer) end(ctx context.Context) error {
	if err := p.client.Flush(ctx); err != nil {
		return err
	}
	if err := p.failure(); err != nil || p.id == "" {
		return err
	}
	return p.client.EndTransaction(ctx, kgo.TryCommit)
}

func (p *Producer) recycle() {
	for _, r := range p.records[:p.used] {
		*r = kgo.Record{}
	}
	p.used = 0
}

// Close is [task.Producer]'s. It waits a few seconds at most.
func (p *Producer) Close() error {
	p.abort()
	p.client.Close()
	return nil
}

// abort ends the transaction under way. That it may fail is no loss: the broker aborts at the transaction's timeout, or when
// the successor opens the same id.
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
