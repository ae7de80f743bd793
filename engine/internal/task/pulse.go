package task

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Pulse shows others where a task is, so that they see when it does not come back: a function of
// the plan has no context, and nothing else could tell that one hangs. The task moves it before
// each piece of work that may run the program's code, and lets it rest while it waits for a broker,
// writes to its store, or has nothing to do. Who looks twice and finds it in the same place has
// found a task that gets no further.
//
// The task's stores are plain. An atomic one costs as much as a filter on some machines, several
// times for each record. What is read beside them is single words: a reader may be late by a
// moment, never in between, and it judges by seconds.
type Pulse struct {
	// Written by the task's goroutine.
	word   uint64 // number of moves << placeBits | place; place 0: at rest
	topic  uint64 // place of the input of the record at work
	offset uint64 // of that record; noOffset: none is

	mu     sync.Mutex
	task   string
	index  int32   // of the partition
	places []place // from 1 on
	seen   uint64  // the word as it was last looked at
	since  time.Time
}

// place is a step of the task; topic is that of an input.
type place struct{ step, topic string }

const (
	placeBits = 16
	rest      = 0
	noOffset  = ^uint64(0)
)

// Call is the piece of work that a task is in.
type Call struct {
	Task      string // sub-topology and partition
	Step      string
	Topic     string // of the record at work; empty: none is, as when the clock closes windows
	Partition int32
	Offset    int64
	Since     time.Time // when it was first seen
}

// String names the step and the record.
func (c Call) String() string {
	if c.Topic == "" {
		return fmt.Sprintf("step %s, at no record of an input", c.Step)
	}
	return fmt.Sprintf("step %s, record at offset %d of %s/%d", c.Step, c.Offset, c.Topic, c.Partition)
}

// begin says whose pulse it is.
func (p *Pulse) begin(task string, partition int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.task, p.index = task, partition
}

// add gives a step a place.
func (p *Pulse) add(step, topic string) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := place{step, topic}
	if i := slices.Index(p.places, at); i >= 0 {
		return uint64(i + 1)
	}
	if len(p.places) >= 1<<placeBits-1 {
		return rest // it is not watched; no plan has so many steps
	}
	p.places = append(p.places, at)
	return uint64(len(p.places))
}

// move says what the task does now, and returns what it did.
func (p *Pulse) move(to uint64) (from uint64) {
	from = p.word & (1<<placeBits - 1)
	p.word = (p.word>>placeBits+1)<<placeBits | to
	return from
}

// record says which record is at work.
func (p *Pulse) record(topic uint64, offset int64) { p.topic, p.offset = topic, uint64(offset) }

// none says that no record is at work.
func (p *Pulse) none() { p.offset = noOffset }

// Look says which piece of work the task is in, and since when at least that is known; ok is false
// where it is at rest. It is to be called every now and then, by any goroutine.
func (p *Pulse) Look(now time.Time) (c Call, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	word, topic, offset := p.read()
	at := word & (1<<placeBits - 1)
	if word != p.seen || p.since.IsZero() {
		p.seen, p.since = word, now
	}
	if at == rest || int(at) > len(p.places) {
		return Call{}, false
	}
	c = Call{Task: p.task, Step: p.places[at-1].step, Partition: p.index, Since: p.since}
	if offset != noOffset && topic != rest && int(topic) <= len(p.places) {
		c.Topic, c.Offset = p.places[topic-1].topic, int64(offset)
	}
	return c, true
}

// read reads what another goroutine writes, which is its purpose: see Pulse.
//
//go:norace
func (p *Pulse) read() (word, topic, offset uint64) { return p.word, p.topic, p.offset }
