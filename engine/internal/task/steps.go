package task

import (
	"context"
	"errors"
	"fmt"

	"github.com/ashi-stream/ashi/topology"
)

// runner is a node at work in one task. process returns errors that end the task only; with a
// record that is bad it does what its policy says (failures.go).
type runner interface {
	process(ctx context.Context, r *topology.Record) error
}

// runners makes the runners of nodes, and of all below them. A node that stands below several is
// one runner.
func (t *Task) runners(nodes []*topology.Node) ([]runner, error) {
	made := make([]runner, len(nodes))
	for i, n := range nodes {
		r, err := t.runner(n)
		if err != nil {
			return nil, err
		}
		made[i] = r
	}
	return made, nil
}

// runner makes the runner of a node. Those with state are noted, from below.
func (t *Task) runner(n *topology.Node) (r runner, err error) {
	if r, ok := t.made[n]; ok {
		return r, nil
	}
	next, err := t.runners(n.Next)
	if err != nil {
		return nil, err
	}
	switch o := n.Op.(type) {
	case *topology.Step:
		r = &step{task: t, name: n.Name, place: t.pulse.add(n.Name, ""), call: o.Open(), next: next}
	case *topology.Sink:
		r = &sink{task: t, name: n.Name, place: t.pulse.add(n.Name, ""), topic: o.Topic, encode: o.Open(), key: o.Key,
			partitions: t.cfg.Sinks[o.Topic], changes: o.Changes, next: next}
	case *topology.Aggregate:
		r, err = newWindowed(t, n.Name, o)
	case *topology.Materialize:
		r, err = newTable(t, n.Name, o, next)
	case *topology.TableStep:
		r = newTableStep(t, n.Name, o, next)
	case *topology.TableLookup:
		r = newLookup(t, n.Name, o, next)
	case *topology.TableJoin:
		r = newTableJoin(t, n.Name, o, next)
	case *topology.Regroup:
		r = newRegroup(t, n.Name, o, next)
	case *topology.ForeignJoin:
		r = newForeignJoin(t, n.Name, o, next)
	case *topology.Subscriptions:
		r = newSubscriptions(t, n.Name, o)
	case *topology.Suppress:
		r = newSuppress(t, n.Name, o, next)
	case *topology.BroadcastLookup:
		r, err = newBroadcast(t, n.Name, o, next)
	case *topology.Input:
		r, err = t.newPort(o)
	case *topology.Merge:
		r = &merge{next}
	case *topology.Split:
		r = &split{task: t, name: n.Name, place: t.pulse.add(n.Name, ""), which: o.Open(), next: next}
	case *topology.StreamJoin:
		r, err = newJoin(t, n.Name, o, next)
	default:
		err = fmt.Errorf("task: step %s: a %T cannot stand here", n.Name, o)
	}
	if err != nil {
		return nil, err
	}
	t.made[n] = r
	if o, ok := r.(operator); ok {
		t.operators = append(t.operators, o)
		t.places = append(t.places, t.pulse.add(n.Name, ""))
	}
	return r, nil
}

// joiner is a runner with several inputs.
type joiner interface {
	runner
	// from is the runner for what comes from an input.
	from(port int) runner
}

// newPort is the runner of one input of a node.
func (t *Task) newPort(in *topology.Input) (runner, error) {
	to, err := t.runner(in.To)
	if err != nil {
		return nil, err
	}
	j, ok := to.(joiner)
	if !ok {
		return nil, fmt.Errorf("task: step %s: a %T has no inputs", in.To.Name, in.To.Op)
	}
	return j.from(in.Port), nil
}

// merge hands on what comes from any of its inputs.
type merge struct{ next []runner }

func (m *merge) process(ctx context.Context, r *topology.Record) error {
	return forward(ctx, m.next, r)
}

func (m *merge) from(int) runner { return m }

// split hands each record on to one of next.
type split struct {
	task  *Task
	name  string
	place uint64
	which func(*topology.Record) (int, error)
	next  []runner
}

func (s *split) process(ctx context.Context, r *topology.Record) error {
	i, err := s.guarded(r)
	for n := 0; err != nil && s.task.again(s.task.policyOf(s.name), n, err); n++ {
		i, err = s.guarded(r)
	}
	switch {
	case err != nil:
		return s.task.failed(s.name, err)
	case i >= len(s.next):
		return nil
	}
	return s.next[i].process(ctx, r)
}

func (s *split) guarded(r *topology.Record) (i int, err error) {
	s.task.pulse.move(s.place)
	done := false
	defer func() {
		if !done {
			err = panicked(recover())
		}
	}()
	i, err = s.which(r)
	done = true
	return i, err
}

func forward(ctx context.Context, next []runner, r *topology.Record) error {
	for _, n := range next {
		if err := n.process(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// step runs a filter, map, flatmap or peek.
type step struct {
	task  *Task
	name  string
	place uint64
	call  func(*topology.Record, []*topology.Record) ([]*topology.Record, error)
	next  []runner
	out   []*topology.Record
}

func (s *step) process(ctx context.Context, r *topology.Record) error {
	err := s.guarded(r)
	for n := 0; err != nil && s.task.again(s.task.policyOf(s.name), n, err); n++ {
		err = s.guarded(r)
	}
	if err != nil {
		return s.task.failed(s.name, err)
	}
	for _, o := range s.out {
		if err := forward(ctx, s.next, o); err != nil {
			return err
		}
	}
	return nil
}

// guarded fills s.out; a panic of the user's function is its error.
func (s *step) guarded(r *topology.Record) (err error) {
	s.task.pulse.move(s.place)
	done := false
	defer func() {
		if !done {
			err = panicked(recover())
		}
	}()
	s.out, err = s.call(r, s.out[:0])
	done = true
	return err
}

// sink writes to a topic.
type sink struct {
	task       *Task
	name       string
	place      uint64
	topic      string
	partitions int32
	changes    bool
	made       bool // its rows are an aggregate's: what fails is the row, not the record at work
	must       bool // they are final: the policy is Fail unless the plan says otherwise
	encode     func(*topology.Record, []byte) ([]byte, error)
	key        func(dst, group []byte) ([]byte, error) // nil: keys as they are
	next       []runner
	buf        []byte
	row        origin // the row at work, where it is one that the plan has made
	out        Output
	keyBuf     []byte
	keySize    int // of the key in keyBuf without its window
}

func (s *sink) process(ctx context.Context, r *topology.Record) error {
	s.out = Output{Topic: s.topic, Timestamp: r.Time}
	s.task.pulse.move(s.place)
	if s.key != nil {
		if err := s.guardedKey(r); err != nil {
			return s.failed(failure{Failed, classEncode, s.name, fmt.Errorf("key %q cannot be encoded: %w", r.Key,
				err)})
		}
	}
	s.out.Partition = s.partition(r)
	if r.Value != nil || s.changes { // else a row that is gone
		err := s.guarded(r)
		for n := 0; err != nil && s.task.again(s.policy(), n, err); n++ {
			err = s.guarded(r)
		}
		if err != nil {
			s.out.Key = s.task.keep(r.Key)
			return s.failed(failure{Failed, classEncode, s.name, fmt.Errorf("row with key %q cannot be encoded: %w",
				r.Key, err)})
		}
		s.out.Value = s.task.keep(s.buf)
	}
	s.out.Key = s.task.keep(s.keyOf(r))
	if f, refused := s.task.refusal(&s.out); refused {
		f.step = s.name
		return s.failed(f)
	}
	s.task.send(ctx, s.out)
	if len(s.next) == 0 {
		return nil
	}
	return s.instead(func() error { return forward(ctx, s.next, r) })
}

// policy is that of rows that cannot be written.
func (s *sink) policy() *topology.Policy {
	if s.must && s.task.policies[s.name] == nil {
		return mustFail
	}
	return s.task.policyOf(s.name)
}

func (s *sink) failed(f failure) error {
	if !s.made {
		return s.task.judge(f, s.policy().Then)
	}
	return s.instead(func() error { return s.task.judge(f, s.policy().Then) })
}

// instead runs f with the row that s writes in place of the record at work: below a sink that is
// what fails.
func (s *sink) instead(f func() error) error {
	s.row = origin{s.topic, s.out.Partition, -1, s.out.Timestamp, s.out.Key, s.out.Value, nil}
	before := s.task.derived
	s.task.derived = &s.row
	err := f()
	s.task.derived = before
	return err
}

// partition is that of the group, so that windowed keys stay with their group as Kafka Streams has
// it. Without a key a record stays in the task's own partition.
func (s *sink) partition(r *topology.Record) int32 {
	if r.Group == nil {
		return s.task.cfg.Partition % s.partitions
	}
	if s.key != nil {
		return s.task.cfg.PartitionOf(s.keyBuf[:s.keySize], s.partitions)
	}
	return s.task.cfg.PartitionOf(r.Group, s.partitions)
}

// keyOf is the key on the wire; guardedKey has been called.
func (s *sink) keyOf(r *topology.Record) []byte {
	if s.key == nil || r.Group == nil {
		return r.Key
	}
	return s.keyBuf
}

// guardedKey writes the group's key in the topic's form, and the window behind it.
func (s *sink) guardedKey(r *topology.Record) (err error) {
	if r.Group == nil {
		return nil
	}
	done := false
	defer func() {
		if !done {
			err = panicked(recover())
		}
	}()
	s.keyBuf, err = s.key(s.keyBuf[:0], r.Group)
	done = true
	s.keySize = len(s.keyBuf)
	s.keyBuf = append(s.keyBuf, r.Key[len(r.Group):]...)
	return err
}

// orAborted lets the task begin anew where something cannot be had now.
func orAborted(err error) error {
	if errors.Is(err, topology.ErrUnavailable) {
		return fmt.Errorf("%w: %w", ErrAborted, err)
	}
	return err
}

func (s *sink) guarded(r *topology.Record) (err error) {
	done := false
	defer func() {
		if !done {
			err = panicked(recover())
		}
	}()
	s.buf, err = s.encode(r, s.buf[:0])
	done = true
	return err
}
