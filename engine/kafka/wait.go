package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ErrUnavailable says that no broker answered in time. It may be tried again.
var ErrUnavailable = errors.New("kafka: no broker answers")

// pause waits for d, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// backoff is a wait that doubles with each failure in a row, from 50 ms to 5 s. The zero value is
// ready.
type backoff struct{ failures int }

func (b *backoff) wait(ctx context.Context) error { return pause(ctx, b.next()) }

// next is how long to wait now.
func (b *backoff) next() time.Duration {
	d := min(50*time.Millisecond<<min(b.failures, 10), 5*time.Second)
	b.failures++
	return d
}

func (b *backoff) reset() { b.failures = 0 }

// dialErrors remembers why the last connection failed: franz-go tries again until the context ends,
// and then the context's error alone would hide the cause.
type dialErrors struct {
	mu   sync.Mutex
	last error
}

var _ kgo.HookBrokerConnect = (*dialErrors)(nil)

// OnBrokerConnect is called by franz-go.
func (d *dialErrors) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var network net.Error
	if d.last != nil && errors.As(err, &network) && network.Timeout() {
		return // the end of somebody's patience: what came before says more
	}
	d.last = err
}

// explain makes an error of the network an ErrUnavailable and adds what the last dial said, where a
// timeout hides it.
func (d *dialErrors) explain(err error) error {
	if !silence(err) {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last != nil && !errors.Is(err, d.last) {
		return fmt.Errorf("%w: %w (%w)", ErrUnavailable, d.last, err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// electing reports whether brokers answered that they will know later, as while a leader or a
// coordinator is elected, however long that takes. That a topic is not known is an answer.
func electing(err error) bool {
	return kerr.IsRetriable(err) && !errors.Is(err, kerr.UnknownTopicOrPartition) &&
		!errors.Is(err, kerr.UnknownTopicID)
}

// silence reports whether a broker was not reached, or went away in mid-sentence, rather than
// refused.
func silence(err error) bool {
	var network net.Error
	var hangUp *kgo.ErrFirstReadEOF
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) || errors.As(err, &hangUp) ||
		errors.Is(err, io.EOF) || kgo.IsRetryableBrokerErr(err)
}
