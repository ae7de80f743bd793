package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ashi-stream/ashi/engine/kafka"
)

// ErrExpanded says that a topic has more partitions than the state of a sub-topology that reads it.
// Keys are in other partitions since then: what was counted under a key would lack the records that
// come.
var ErrExpanded = errors.New("engine: a topic has got more partitions")

// lookTime bounds the look before a commit: a broker that does not answer holds nothing up by it,
// as the commit itself waits.
const lookTime = time.Second

// expansion knows how many partitions the topics have that are read. Sub-topologies without state,
// and tables, follow a topic that grows; those with state end Run before anything is committed that
// may lack records. It is safe for concurrent use.
type expansion struct {
	engine *Engine
	admin  *kafka.Admin
	topics []string
	heard  chan map[string]int32 // what brokers have told lately

	turn  chan struct{} // a token: who has it may ask. A channel, as time passes while it is held
	asked time.Time     // when the last question was asked; of who has the turn

	said map[string]bool // sub-topologies of which it was said that they wait; of watch

	mu  sync.Mutex
	now map[string]int32 // partitions
}

// newExpansion takes the topics that are read, with the partitions that they had when Run began.
func newExpansion(e *Engine, counts map[string]int32) (*expansion, error) {
	x := &expansion{engine: e, heard: make(chan map[string]int32, 1), turn: make(chan struct{}, 1),
		now: map[string]int32{}, said: map[string]bool{}}
	topics := map[string]bool{}
	for _, s := range e.subs {
		s.partitions.Store(counts[s.sub.Topics()[0]])
		for _, topic := range s.sub.Topics() {
			topics[topic] = true
		}
	}
	for topic := range e.tables {
		topics[topic] = true
	}
	x.topics = slices.Sorted(maps.Keys(topics))
	x.turn <- struct{}{}
	var err error
	x.admin, err = kafka.NewAdmin(e.kafka)
	return x, err
}

// tell takes what a broker says of the topics; it does not block.
func (x *expansion) tell(counts map[string]int32) {
	select {
	case <-x.heard:
	default:
	}
	x.heard <- counts // nobody else sends
}

// watch follows what brokers tell, until ctx ends or somebody cannot follow.
func (x *expansion) watch(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case counts := <-x.heard:
			if err := x.learn(ctx, counts); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

// sound is an ErrExpanded if a topic that s reads has more partitions than its state. It is asked
// now, unless a question was asked since it was called: what a task is about to commit was read
// before, and brokers know of a partition before they give it records.
func (x *expansion) sound(ctx context.Context, s *subState) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	select {
	case <-x.turn:
	case <-ctx.Done():
		return nil
	}
	if !x.asked.After(began) {
		at := time.Now()
		if counts, err := x.admin.Partitions(ctx, x.topics...); err == nil { // that nobody answers is said elsewhere
			x.asked = at
			x.note(counts)
		}
	}
	x.turn <- struct{}{}
	return x.expanded(s)
}

func (x *expansion) note(counts map[string]int32) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for topic, n := range counts {
		x.now[topic] = max(x.now[topic], n) // one broker may hear of it later than another
	}
}

// expanded is an ErrExpanded if s has state, and a topic of it has more partitions than that.
func (x *expansion) expanded(s *subState) error {
	if !s.stateful {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	var errs []error
	for _, topic := range s.sub.Topics() {
		if had := s.partitions.Load(); x.now[topic] > had {
			errs = append(errs,
				fmt.Errorf("%w: topic %s has %d partitions, and had %d when Run began: the state of sub-topology %s "+
					"is kept by partition, and keys are in other partitions now; nothing was committed since. Send "+
					"the topic's records to "+
					"a new topic, and read that under another name of the application", ErrExpanded, topic,
					x.now[topic], had, s.sub.Name))
		}
	}
	return errors.Join(errs...)
}

// learn lets those follow who can, and is an error if one cannot.
func (x *expansion) learn(ctx context.Context, counts map[string]int32) error {
	x.note(counts)
	for _, s := range x.engine.subs {
		if err := x.expanded(s); err != nil {
			return err
		}
		if err := x.follow(ctx, s); err != nil {
			return err
		}
	}
	if g := x.engine.group.Load(); g != nil {
		g.Refresh(x.followed())
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for topic, t := range x.engine.tables {
		t.grow(x.now[topic])
	}
	return nil
}

// follow gives the changelog of a sub-topology without state, which holds positions only, as many
// partitions as its topics have, and lets its group know of them. Topics that are read together are
// followed when all have as many.
func (x *expansion) follow(ctx context.Context, s *subState) error {
	least, most, names := x.spread(s)
	had := s.partitions.Load()
	if s.stateful || most <= had {
		return nil
	}
	if least < most {
		if !x.said[s.sub.Name] {
			x.said[s.sub.Name] = true
			x.engine.cfg.Log.Warn(
				"topics that are read together have different numbers of partitions: none is followed until all "+
					"have as many", "sub", s.sub.Name, "topics", names)
		}
		return nil
	}
	if err := x.engine.growLog(ctx, x.admin, s, most); err != nil {
		if errors.Is(err, kafka.ErrUnavailable) {
			return nil // the next answer of a broker brings us here again
		}
		return err
	}
	s.partitions.Store(most)
	x.engine.cfg.Log.Info("topics have got more partitions: they are read from their first records",
		"sub", s.sub.Name, "topics", names, "had", had, "have", most)
	return nil
}

// followed is how many partitions the topics have of sub-topologies that follow them, and are not
// about to.
func (x *expansion) followed() map[string]int32 {
	all := map[string]int32{}
	for _, s := range x.engine.subs {
		if least, most, _ := x.spread(s); !s.stateful && least == most && most == s.partitions.Load() {
			for _, topic := range s.sub.Topics() {
				all[topic] = most
			}
		}
	}
	return all
}

// spread is the least and the most partitions of the topics of s, and their names.
func (x *expansion) spread(s *subState) (least, most int32, names string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var all []string
	for i, topic := range s.sub.Topics() {
		n := x.now[topic]
		if i == 0 {
			least = n
		}
		least, most = min(least, n), max(most, n)
		all = append(all, topic)
	}
	return least, most, strings.Join(all, ", ")
}

// growLog gives a changelog more partitions.
func (e *Engine) growLog(ctx context.Context, admin *kafka.Admin, s *subState, partitions int32) error {
	needs := fmt.Sprintf("%s needs %d partitions, as its topics have", s.changelog, partitions)
	command := e.kafka.GrowCommand(s.changelog, partitions)
	if e.cfg.Topics.WithoutCreation {
		return fmt.Errorf("%w: %s: an administrator gives it those by\n\t%s", ErrTopicsMissing, needs, command)
	}
	err := admin.Grow(ctx, s.changelog, partitions)
	if errors.Is(err, kafka.ErrDenied) {
		return fmt.Errorf("engine: %s: an administrator gives it those by\n\t%s\nor lets the engine do it: %w", needs,
			command, err)
	}
	if err != nil {
		return fmt.Errorf("engine: %s: %w", needs, err)
	}
	return nil
}
