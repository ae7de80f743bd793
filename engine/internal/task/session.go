package task

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// sessions is the session windows of one aggregate in a task. The open sessions of a group are one
// row, keyed by the group alone, since a record may join any of them: one point get finds all. They
// are few.
//
// Groups are in memory from the record that asks for them until memory is short. When their
// sessions close is then told by an index in the store (dueIndex).
type sessions struct {
	kind    windows.Kind
	gap     windows.Time
	groups  []*sessionGroup // by group number; nil where a group has none in memory
	due     dueHeap         // when groups in memory have something to close, or earlier
	index   dueIndex        // when others have
	closed  windows.Time    // what this stream time closes is closed and put out
	closing []closedSession // reused
	dirty   []uint32        // groups changed since the last commit
	unsaved []uint32        // groups changed since the last checkpoint
	spare   []*session

	loaded int // groups in memory
	live   int // sessions in memory, spare ones too
	fixed  int // bytes of a session without what its parts and objects hold
	held   int // bytes of those: of objects as they were at the last commit
}

func newSessions(kind windows.Kind, p aggregates.Aggregator) *sessions {
	return &sessions{kind: kind, gap: windows.Time(kind.Size().Milliseconds()), closed: windows.Min,
		fixed: sessionBytes + p.Size() + 24*p.Vars() + 16*p.Objs()}
}

// sessionGroup is the open sessions of a group.
type sessionGroup struct {
	list    []*session   // by ascending end; they do not overlap, nor touch within the gap
	due     windows.Time // of its entry in the heap; 0: it has none
	indexed windows.Time // of its entry in the store's index; 0: the store has neither that nor the row
	flags   uint8
	removed []windows.Window // sessions that were put out as changes and are gone: their tombstones wait for the commit
}

// session is one session. Both of its bounds are times of records in it [S1].
type session struct {
	windows.Window
	state   aggregates.State
	large   int  // bytes of its objects at its last commit
	held    int  // bytes of those and its parts when they were last counted
	changed bool // since the last commit
	shown   bool // was put out as a change
}

// addToSession adds the record to the session that it belongs to, merging those that it connects,
// or opens one. It returns 1 if that session is closed (semantics.md [S2] to [S5]).
func (w *windowed) addToSession(ctx context.Context, s *size, group uint32, at windows.Time) (late int, err error) {
	x := s.sessions
	g, err := w.sessionGroup(s, group)
	if err != nil {
		return 0, err
	}
	first, last := g.touching(at, x.gap)
	merged := windows.Window{Start: at, End: at}
	if first < last {
		merged.Start = min(at, g.list[first].Start)
		merged.End = max(at, g.list[last-1].End)
	}
	if merged.End < w.streamTime-w.grace-x.gap {
		w.task.drops.drop(Late, w.name, w.task.offset, nil)
		x.tidy(w, group)
		return 1, nil
	}
	one, err := w.connect(x, g, first, last, merged, at)
	if err != nil || one == nil {
		x.tidy(w, group)
		return 0, err
	}
	one.Window, one.changed = merged, true
	x.touch(group, g)
	x.schedule(w, group, g, merged.End)
	if w.task.cfg.EveryUpdate && s.changes != nil {
		return 0, w.putOutSessions(ctx, s, group, g)
	}
	return 0, nil
}

// sessionGroup is the sessions of a group: those in memory, or in the store, or none. In the table
// of groups it counts as a row.
func (w *windowed) sessionGroup(s *size, n uint32) (*sessionGroup, error) {
	x := s.sessions
	for int(n) >= len(x.groups) {
		x.groups = append(x.groups, nil)
	}
	if x.groups[n] == nil {
		x.groups[n] = &sessionGroup{}
		x.loaded++
		w.groups.entries[n].rows++
		if x.index.some {
			if err := w.loadSessions(s, n); err != nil {
				return nil, err
			}
		}
	}
	return x.groups[n], nil
}

// drop takes a group out of memory. What it has in the heap is passed over there.
func (x *sessions) drop(w *windowed, n uint32) {
	x.groups[n] = nil
	x.loaded--
	w.groups.entries[n].rows--
}

// touching is the sessions that a record at a time belongs to or connects: list[first:last] [S3].
func (g *sessionGroup) touching(at, gap windows.Time) (first, last int) {
	for first < len(g.list) && g.list[first].End < at-gap {
		first++
	}
	last = first
	for last < len(g.list) && g.list[last].Start <= at+gap {
		last++
	}
	return first, last
}

// connect adds the record to list[first], or to a new session there if first is last; where it
// belongs to several, these are merged first [S4]: what comes first is told by sequences, not by
// the order of merging. It is nil if the aggregates refuse the record: what it would have connected
// stays apart, as it was.
func (w *windowed) connect(x *sessions, g *sessionGroup, first, last int, merged windows.Window,
	at windows.Time) (*session, error) {
	if last-first == 1 {
		one := g.list[first]
		w.task.pulse.move(w.place)
		err := w.program.Add(one.state, w.cells, w.task.at(at))
		x.count(one)
		if err != nil {
			return nil, w.refuse(1, err)
		}
		if one.Window != merged {
			g.gone(one)
		}
		return one, nil
	}
	one := x.take(w.program)
	for _, other := range g.list[first:last] {
		w.task.pulse.move(w.place)
		if err := w.program.Merge(one.state, other.state); err != nil {
			return nil, fmt.Errorf("task: aggregate %s: merging sessions: %w", w.name, err)
		}
	}
	w.task.pulse.move(w.place)
	if err := w.program.Add(one.state, w.cells, w.task.at(at)); err != nil {
		x.give(one)
		return nil, w.refuse(1, err)
	}
	for _, other := range g.list[first:last] {
		one.large += other.large
		g.gone(other)
		x.give(other)
	}
	x.count(one)
	g.list = slices.Replace(g.list, first, last, one)
	return one, nil
}

// gone notes that a session is no longer there under its bounds.
func (g *sessionGroup) gone(one *session) {
	if one.shown {
		g.removed = append(g.removed, one.Window)
		one.shown = false
	}
}

// take is an empty session.
func (x *sessions) take(p aggregates.Aggregator) *session {
	if n := len(x.spare) - 1; n >= 0 {
		one := x.spare[n]
		x.spare[n], x.spare = nil, x.spare[:n]
		return one
	}
	x.live++
	return &session{state: aggregates.NewState(p)}
}

// count notes what the parts and objects of a session hold.
func (x *sessions) count(one *session) {
	n := held(one.state) + one.large
	x.held += n - one.held
	one.held = n
}

// forget takes a session out of the count.
func (x *sessions) forget(one *session) {
	x.live--
	x.held -= one.held
}

// sessionBytes and groupBytes are what a session takes beside its state, and a group in memory
// beside its sessions: with the places that lists have for them.
const (
	sessionBytes = 144
	groupBytes   = 120
)

// bytes is how much memory sessions take, roughly.
func (x *sessions) bytes() int {
	return groupBytes*x.loaded + x.fixed*x.live + x.held + 16*cap(x.due) + x.index.bytes()
}

// maxSpare is how many sessions are kept for reuse.
const maxSpare = 1024

// give takes a session back for reuse.
func (x *sessions) give(one *session) {
	if len(x.spare) >= maxSpare {
		x.forget(one)
		return
	}
	clear(one.state.Fixed)
	clear(one.state.Objs)
	for i := range one.state.Vars {
		one.state.Vars[i] = one.state.Vars[i][:0]
	}
	one.Window, one.large, one.changed, one.shown = windows.Window{}, 0, false, false
	x.count(one)
	x.spare = append(x.spare, one)
}

func (x *sessions) touch(n uint32, g *sessionGroup) {
	if g.flags&flagDirty == 0 {
		x.dirty = append(x.dirty, n)
	}
	if g.flags&flagUnsaved == 0 {
		x.unsaved = append(x.unsaved, n)
	}
	g.flags |= flagDirty | flagUnsaved
}

// tidy forgets a group that has nothing. process lets go of its number.
func (x *sessions) tidy(w *windowed, n uint32) {
	if g := x.groups[n]; len(g.list) == 0 && g.flags == 0 {
		x.drop(w, n)
	}
}

// closes is the stream time from which on a session is closed: later than its end by more than gap
// and grace [S5].
func (x *sessions) closes(end, grace windows.Time) windows.Time { return end + x.gap + grace + 1 }

// schedule makes sure that the group is looked at when a session with this end can have closed.
// Ends only grow, so an entry that is there is early enough, unless a session before it was opened.
func (x *sessions) schedule(w *windowed, n uint32, g *sessionGroup, end windows.Time) {
	at := x.closes(end, w.grace)
	if g.due != 0 && g.due <= at {
		return
	}
	g.due = at
	x.due.push(due{at, n})
	w.nextClose = min(w.nextClose, at)
}

// closeSessions puts out and forgets the sessions that stream time has closed, in order of (end,
// start, key) [S9]. It goes from end to end, so that no more of them are in memory than have one
// end.
func (w *windowed) closeSessions(ctx context.Context, s *size) error {
	x := s.sessions
	for {
		at, err := w.nextDue(s)
		if err != nil {
			return err
		}
		if at > w.streamTime {
			x.closed = w.streamTime
			w.nextClose = min(w.nextClose, at)
			return nil
		}
		if err := w.loadDue(s, at); err != nil {
			return err
		}
		w.collectDue(x, at)
		for _, c := range x.closing {
			if err := w.putOutClosed(ctx, s, c); err != nil {
				return err
			}
		}
		x.closed = at
		for _, c := range x.closing {
			w.settle(ctx, s, c.group)
		}
	}
}

type closedSession struct {
	group uint32
	*session
}

// collectDue takes the sessions that close at a time out of their groups, which have been found by
// it, in order of (start, key).
func (w *windowed) collectDue(x *sessions, at windows.Time) {
	x.closing = x.closing[:0]
	for len(x.due) > 0 && x.due[0].at == at {
		n := x.due.pop().group
		g := x.groups[n]
		if g == nil || g.due != at {
			continue // an entry that a later one has replaced
		}
		g.due = 0
		if len(g.list) > 0 && x.closes(g.list[0].End, w.grace) == at {
			x.closing = append(x.closing, closedSession{n, g.list[0]})
			g.list = slices.Delete(g.list, 0, 1)
		}
		if len(g.list) > 0 {
			x.schedule(w, n, g, g.list[0].End)
		}
	}
	slices.SortFunc(x.closing, func(a, b closedSession) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), bytes.Compare(w.groups.entries[a.group].key,
			w.groups.entries[b.group].key))
	})
}

// settle notes that a session of a group is closed. A group of which there is nothing more, and
// nothing that waits for a commit or a checkpoint, leaves memory at once: it may have come from the
// store only to be closed, with a million others.
func (w *windowed) settle(ctx context.Context, s *size, n uint32) {
	x := s.sessions
	g := x.groups[n]
	if len(g.list) > 0 || g.flags&(flagDirty|flagUnsaved) != 0 {
		x.touch(n, g)
		return
	}
	w.wkey = stores.AppendRowKey(w.wkey[:0], s.op, 0, w.groups.entries[n].key)
	if g.flags&flagLogged != 0 {
		w.task.log(ctx, w.wkey, nil)
	}
	if g.indexed != 0 {
		w.task.pending.Delete(w.wkey)
		w.unindex(s, n, g)
	}
	x.drop(w, n)
	w.groups.release(n, 0)
}

// putOutClosed puts out a session that has closed: as a change too, if it has changed since the
// last commit.
func (w *windowed) putOutClosed(ctx context.Context, s *size, c closedSession) error {
	if err := w.putOutRemoved(ctx, s, c.group); err != nil {
		return err
	}
	if s.changes != nil && c.changed {
		if err := w.emitSession(ctx, s, s.changes, c.group, c.session); err != nil {
			return err
		}
	}
	if s.finals != nil {
		c.shown = false // as a change it may have been; a final that does not pass is nothing
		if err := w.emitSession(ctx, s, s.finals, c.group, c.session); err != nil {
			return err
		}
	}
	s.sessions.give(c.session)
	return nil
}

// putOutSessions puts out what has changed in a group: tombstones for sessions that are gone, then
// those that have changed [S6].
func (w *windowed) putOutSessions(ctx context.Context, s *size, n uint32, g *sessionGroup) error {
	if err := w.putOutRemoved(ctx, s, n); err != nil {
		return err
	}
	for _, one := range g.list {
		if !one.changed {
			continue
		}
		if err := w.emitSession(ctx, s, s.changes, n, one); err != nil {
			return err
		}
		one.changed = false
	}
	return nil
}

// putOutRemoved puts out tombstones for sessions of a group that were put out and are gone.
func (w *windowed) putOutRemoved(ctx context.Context, s *size, n uint32) error {
	g, group := s.sessions.groups[n], w.groups.entries[n].key
	for _, win := range g.removed {
		w.out = topology.Record{Key: w.sessionKey(s.sessions, group, win), Group: group, Time: win.End}
		if err := forward(ctx, s.changes, &w.out); err != nil {
			return err
		}
	}
	g.removed = g.removed[:0]
	return nil
}

// emitSession puts a session out, if it passes; as a change, a tombstone if it did when it was last
// put out and does not any more.
func (w *windowed) emitSession(ctx context.Context, s *size, to []runner, n uint32, one *session) error {
	group := w.groups.entries[n].key
	row, pass, err := w.makeRow(to, group, one.Window, one.state)
	if err != nil || !pass && !one.shown {
		return err
	}
	one.shown = pass
	w.out = topology.Record{Key: w.sessionKey(s.sessions, group, one.Window), Group: group, Value: row, Time: one.End}
	if !pass {
		w.out.Value = nil
	}
	return forward(ctx, to, &w.out)
}

// sessionKey is Kafka Streams' key of a session: the group's, end, start.
func (w *windowed) sessionKey(x *sessions, group []byte, win windows.Window) []byte {
	w.wkey = x.kind.AppendKey(append(w.wkey[:0], group...), win)
	return w.wkey
}
