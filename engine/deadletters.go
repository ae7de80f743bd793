package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// RecordError is the error of Run where a record fails whose policy is Fail. It says which record,
// and at which step of which task.
type RecordError = task.RecordError

// ErrNoDeadLetters says that the plan has no topic for dead letters.
var ErrNoDeadLetters = errors.New(
	"engine: the plan has no dead letters: name their topic with DeadLetters, or let a policy send any")

// Letter is a dead letter: a record, and why it is not in the results.
type Letter = task.Letter

// Header is a record header.
type Header = task.Header

// DeadLetters is the topic of the plan's dead letters; empty: it has none.
func (e *Engine) DeadLetters() string { return e.plan.DeadLetters }

// SendDead writes a letter by hand, for what fails outside the steps of the plan, in a handler of
// ForEach for instance, and returns when the broker has it. Key, Value, Headers, Topic, Partition,
// Offset (-1: none) and Timestamp say which record it is, reason why. It is in no transaction: what
// fails is told, and after an error the letter may be there all the same.
func SendDead(ctx context.Context, e *Engine, l Letter, reason string) error {
	if e.plan.DeadLetters == "" {
		return fmt.Errorf("engine: send to the dead letters: %w", ErrNoDeadLetters)
	}
	l.Class, l.Text, l.Application = task.ClassManual, reason, e.plan.Name
	o := l.Output()
	o.Topic, o.Partition, o.Timestamp = e.plan.DeadLetters, 0, windows.At(time.Now())
	if o.Key != nil {
		o.Partition = task.OnKey
	}
	return e.adder.add(ctx, e, []task.Output{o})
}

// retryTime is how long a record may be waited for: half of what a transaction may take, and of
// what the others wait in a rebalance.
func (c *Config) retryTime() time.Duration {
	session := c.SessionTimeout
	if session <= 0 {
		session = kafka.DefaultSessionTimeout
	}
	return min(kafka.DefaultTransactionTimeout, kafka.DefaultRebalanceTimeout, 5*session) / 2
}

func (e *Engine) retryTime() time.Duration { return e.cfg.retryTime() }

// retriesFit is an error for each policy that would wait too long.
func (c *Config) retriesFit(plan *topology.Plan) error {
	if plan == nil {
		return nil
	}
	var errs []error
	for n, p := range plan.Policies {
		if total := p.Total(); total > c.retryTime() {
			errs = append(errs,
				fmt.Errorf(
					"%s: %s: %d retries from %v wait %v in all: a transaction and a rebalance leave %v (half of "+
						"60s, or of 5 session timeouts)", n.Place, n.Name, p.Retries, p.Backoff, total, c.retryTime()))
		}
	}
	return errors.Join(errs...)
}
