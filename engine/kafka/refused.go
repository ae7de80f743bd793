package kafka

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/windows"
)

// A broker refuses a whole batch for one record in it, and the transaction of the batch cannot be
// committed any more. Its answer may not say which record it was, so the producer finds out: it
// sends parts of the batch, each in a transaction that it aborts, until what is refused is a single
// record.

const (
	// findTime bounds the search: who waits for the partition waits for it too.
	findTime = closeTimeout
	// mostRefused are found at a time. The next transaction is refused for the others, and so they
	// are found.
	mostRefused = 100
)

// refusals are the errors with which brokers refuse what a record has in it. They do not go away by
// sending it again.
var refusals = []error{kerr.InvalidTimestamp, kerr.InvalidRecord, kerr.MessageTooLarge, kerr.RecordListTooLarge,
	kerr.PolicyViolation, kerr.UnsupportedForMessageFormat, kerr.CorruptMessage}

func refused(err error) bool {
	return err != nil && slices.ContainsFunc(refusals, func(e error) bool { return errors.Is(err, e) })
}

// suspect keeps a record of a batch that was refused. What it points to belongs to the task, which
// keeps it until Commit has returned.
func (p *Producer) suspect(r *kgo.Record) {
	copied := kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Timestamp: r.Timestamp,
		Headers: slices.Clone(r.Headers)}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused = append(p.refused, copied)
}

// findRefused is the records for which the transaction that has just been aborted was refused.
// Without transactions what is sent stays: at least once. But the log is left alone then: rows in
// it without their commit record would be those of another moment.
func (p *Producer) findRefused(ctx context.Context) []task.Refusal {
	p.mu.Lock()
	suspects := p.refused
	p.refused = nil
	p.mu.Unlock()
	suspects = slices.DeleteFunc(suspects, func(r kgo.Record) bool { return p.log != "" && r.Topic == p.log })
	if len(suspects) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, findTime)
	defer cancel()
	var found []task.Refusal
	// By partition, as batches are: what one is refused for says nothing of another's.
	byPlace := map[place][]kgo.Record{}
	var places []place
	for _, r := range suspects {
		at := place{r.Topic, r.Partition}
		if byPlace[at] == nil {
			places = append(places, at)
		}
		byPlace[at] = append(byPlace[at], r)
	}
	for _, at := range places {
		if found = p.search(ctx, byPlace[at], found); ctx.Err() != nil || len(found) >= mostRefused {
			break
		}
	}
	return found
}

// search adds those of records to found that are refused each by itself.
func (p *Producer) search(ctx context.Context, records []kgo.Record, found []task.Refusal) []task.Refusal {
	if len(found) >= mostRefused || ctx.Err() != nil {
		return found
	}
	err := p.try(ctx, records)
	switch {
	case !refused(err):
		return found // they are taken, or it is not known
	case len(records) == 1:
		return append(found, task.Refusal{Output: outputOf(&records[0]), Err: err})
	}
	half := len(records) / 2
	return p.search(ctx, records[half:], p.search(ctx, records[:half], found))
}

// try sends records by themselves, in a transaction that it aborts, and says what became of them.
func (p *Producer) try(ctx context.Context, records []kgo.Record) error {
	p.open = true
	if p.id != "" {
		if err := p.client.BeginTransaction(); err != nil {
			p.open = false
			return err
		}
	}
	defer p.abort()
	var first firstError
	for i := range records {
		r := records[i] // franz-go writes to it
		p.client.Produce(ctx, &r, first.note)
	}
	if err := p.client.Flush(ctx); err != nil {
		return err
	}
	return first.get()
}

// firstError keeps the first of the errors that it is given.
type firstError struct {
	mu  sync.Mutex
	err error
}

func (f *firstError) note(_ *kgo.Record, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *firstError) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func outputOf(r *kgo.Record) task.Output {
	o := task.Output{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value,
		Timestamp: windows.At(r.Timestamp)}
	for _, h := range r.Headers {
		o.Headers = append(o.Headers, task.Header{Key: h.Key, Value: h.Value})
	}
	return o
}
