package engine

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/ashi-stream/ashi/engine/internal/task"
)

// tracerName is the instrumentation scope of all spans.
const tracerName = "github.com/ashi-stream/ashi/engine"

// taskTrace makes the spans of one task: one for each opening, one for each transaction with what
// happened in it below. Nil makes none, and asks OpenTelemetry nothing. It is owned by the task's
// goroutine.
type taskTrace struct {
	tracer trace.Tracer
	of     trace.SpanStartOption // sub-topology and partition

	// of the last transaction: what belongs to it, such as its checkpoint, may come when it is over
	ctx         context.Context
	transaction trace.Span // nil: none is under way
	records     int        // offered and not run yet
	offsets     []string   // of those
}

// traceOf is nil without a TracerProvider.
func (e *Engine) traceOf(s *subState, partition int32) *taskTrace {
	if e.tracer == nil {
		return nil
	}
	return &taskTrace{tracer: e.tracer, of: e.spanOf(s, attribute.Int("ashi.partition", int(partition)))}
}

func (e *Engine) spanOf(s *subState, more ...attribute.KeyValue) trace.SpanStartOption {
	return trace.WithAttributes(append(more, attribute.String("ashi.application", e.plan.Name),
		attribute.String("ashi.sub_topology", s.sub.Name))...)
}

// rebalanced makes the span of a rebalance that is over.
func (e *Engine) rebalanced(began time.Time) {
	since(e.meters.rebalance, began)
	if e.tracer == nil {
		return
	}
	_, span := e.tracer.Start(context.Background(), "ashi.rebalance", trace.WithNewRoot(), trace.WithTimestamp(began),
		trace.WithAttributes(attribute.String("ashi.application", e.plan.Name)))
	span.End()
}

// opened makes the span of an opening that is over, with the restore in it.
func (t *taskTrace) opened(began time.Time, from restored, err error) {
	if t == nil {
		return
	}
	ctx, span := t.tracer.Start(context.Background(), "ashi.open", trace.WithNewRoot(), trace.WithTimestamp(began),
		t.of)
	if !from.began.IsZero() {
		_, restore := t.tracer.Start(ctx, "ashi.restore", trace.WithTimestamp(from.began), t.of,
			trace.WithAttributes(attribute.Int64("ashi.records", from.rows), attribute.Int64("ashi.bytes", from.bytes)))
		restore.End(trace.WithTimestamp(from.began.Add(from.took)))
	}
	end(span, err)
}

// offered notes a batch, and begins a transaction with the first.
func (t *taskTrace) offered(b *task.Batch) {
	if t == nil {
		return
	}
	if t.transaction == nil {
		t.begin(time.Now())
	}
	if len(b.Records) > 0 {
		t.records += len(b.Records)
		t.offsets = append(t.offsets, fmt.Sprintf("%s: %d to %d", b.Topic, b.Records[0].Offset, b.Next-1))
	}
}

func (t *taskTrace) begin(at time.Time) {
	t.ctx, t.transaction = t.tracer.Start(context.Background(), "ashi.transaction", trace.WithNewRoot(),
		trace.WithTimestamp(at), t.of)
}

// below makes the span of a part of the last transaction that is over now.
func (t *taskTrace) below(name string, began time.Time, err error, about ...attribute.KeyValue) {
	_, span := t.tracer.Start(t.ctx, name, trace.WithTimestamp(began), t.of, trace.WithAttributes(about...))
	end(span, err)
}

// ran makes the span of a run, with what was offered for it. Commits in it are in its time, and
// have spans of their own beside it. An error ends the transaction.
func (t *taskTrace) ran(began time.Time, err error) {
	if t == nil {
		return
	}
	if len(t.offsets) > 0 {
		t.below("ashi.process", began, err, attribute.Int("ashi.records", t.records),
			attribute.StringSlice("ashi.offsets", t.offsets))
		t.records, t.offsets = 0, nil
	}
	if err != nil {
		t.over(err)
	}
}

// committed makes the span of a commit and ends that of the transaction.
func (t *taskTrace) committed(began time.Time, sequence uint64, records int) {
	if t == nil {
		return
	}
	if t.transaction == nil { // the clock has closed windows
		t.begin(began)
	}
	t.below("ashi.commit", began, nil, attribute.Int64("ashi.commit", int64(sequence)),
		attribute.Int("ashi.records_written", records))
	t.over(nil)
}

// checkpointed makes the span of a checkpoint, in the trace of the transaction before it.
func (t *taskTrace) checkpointed(began time.Time, bytes int) {
	if t == nil {
		return
	}
	if t.ctx == nil {
		t.ctx = context.Background()
	}
	t.below("ashi.checkpoint", began, nil, attribute.Int("ashi.bytes", bytes))
}

// over ends the transaction under way, if there is one.
func (t *taskTrace) over(err error) {
	if t == nil || t.transaction == nil {
		return
	}
	end(t.transaction, err)
	t.transaction = nil
}

func end(span trace.Span, err error) {
	if err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}
