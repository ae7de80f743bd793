package engine

import (
	"cmp"
	"slices"
	"time"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/windows"
)

// Status is what an Engine does now, as /status writes it. Figures of tasks are of their last
// commits.
type Status struct {
	Application     string              `json:"application"`
	Guarantee       string              `json:"guarantee"`
	At              time.Time           `json:"at"`
	Readiness       ReadinessStatus     `json:"readiness"`
	SubTopologies   []SubTopologyStatus `json:"sub_topologies"`
	Tables          []TableStatus       `json:"tables"`
	DeadLetters     string              `json:"dead_letters,omitempty"` // their topic
	TablesOff       string              `json:"tables_off,omitempty"`   // Config.WithoutTables
	Topology        string              `json:"topology"`               // as text
	TopologyMermaid string              `json:"topology_mermaid"`
	// PassedOver is how many records ForEach and Rows passed over, by topic and reason, of the
	// topics that the program has listened to.
	PassedOver map[string]map[string]int64 `json:"passed_over,omitempty"`
}

// ReadinessStatus is a Readiness with texts.
type ReadinessStatus struct {
	Ready  bool          `json:"ready"`
	Since  time.Time     `json:"since"`
	Causes []CauseStatus `json:"causes,omitempty"`
}

// CauseStatus is a Cause with texts.
type CauseStatus struct {
	Reason Reason    `json:"reason"`
	Table  string    `json:"table,omitempty"`
	Window string    `json:"window,omitempty"`
	Task   string    `json:"task,omitempty"`
	Error  string    `json:"error,omitempty"`
	Since  time.Time `json:"since"`
}

// SubTopologyStatus is one sub-topology: the tasks that this process has of it, and what all of
// them have counted since Run began.
type SubTopologyStatus struct {
	Name    string           `json:"name"`
	Records int64            `json:"records"`      // read
	Rate    float64          `json:"rate"`         // records read a second, over the last 10 s
	Dropped map[string]int64 `json:"dropped"`      // by reason; dead letters are not in it
	Letters map[string]int64 `json:"dead_letters"` // by reason
	Tasks   []TaskStatus     `json:"tasks"`
	// Standbys is how far the copies of other processes' tasks are that this one keeps: topics are
	// changelogs.
	Standbys []PositionStatus `json:"standbys"`
}

// TaskStatus is one task of this process.
type TaskStatus struct {
	Partition int32            `json:"partition"`
	Open      bool             `json:"open"` // false: it is being restored
	Since     time.Time        `json:"since"`
	Restored  int64            `json:"restored"`            // records of the changelog that were read to open it
	WaitsFor  string           `json:"waits_for,omitempty"` // what a task that is not open waits for
	Commits   uint64           `json:"commits"`
	Inputs    []PositionStatus `json:"inputs"`
	// by operator; one that has seen nothing is not in it
	StreamTimes map[string]time.Time `json:"stream_times,omitempty"`
}

// PositionStatus is how far a partition of a topic is read. End and Lag are -1 where the end is not
// known yet.
type PositionStatus struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Next      int64  `json:"next"` // offset to read next
	End       int64  `json:"end"`  // of the committed records
	Lag       int64  `json:"lag"`
}

// TableStatus is one table of this process. Rows and Bytes are the store's rough figures, -1 where
// it has none.
type TableStatus struct {
	Table          string           `json:"table"` // its topic
	Window         string           `json:"window,omitempty"`
	Ready          bool             `json:"ready"` // it has caught up
	Rows           int64            `json:"rows"`
	Bytes          int64            `json:"bytes"`
	Lag            int64            `json:"lag"` // of the partition that is furthest behind
	Duplicates     int64            `json:"duplicates"`
	Contradictions int64            `json:"contradictions"`
	Partitions     []PositionStatus `json:"partitions"`
}

// Status is what e does now. It may be called at any time; it asks no broker and waits for no task.
func (e *Engine) Status() Status {
	s := Status{Application: e.plan.Name, Guarantee: e.cfg.Guarantee.String(), At: time.Now().UTC(),
		Readiness: e.readinessStatus(), SubTopologies: []SubTopologyStatus{}, Tables: []TableStatus{},
		DeadLetters: e.plan.DeadLetters, TablesOff: e.cfg.WithoutTables, Topology: e.plan.Describe(),
		TopologyMermaid: e.plan.Mermaid(), PassedOver: e.listened.counts()}
	views := e.tasks.all()
	slices.SortFunc(views, func(a, b *taskView) int { return cmp.Compare(a.partition, b.partition) })
	for _, sub := range e.subs {
		s.SubTopologies = append(s.SubTopologies, sub.status(views))
	}
	for _, p := range e.plan.Tables {
		if t := e.tables[p.Topic]; t != nil {
			s.Tables = append(s.Tables, t.status())
		}
	}
	return s
}

func (e *Engine) readinessStatus() ReadinessStatus {
	now := e.Readiness()
	s := ReadinessStatus{Ready: now.Ready, Since: now.At.UTC()}
	for _, c := range now.Causes {
		if t := e.tables[c.Table]; t != nil && c.Reason == CatchingUp {
			c.Err = t.behind()
		}
		text := ""
		if c.Err != nil {
			text = c.Err.Error()
		}
		s.Causes = append(s.Causes, CauseStatus{Reason: c.Reason, Table: c.Table, Window: c.Window, Task: c.Task,
			Error: text, Since: c.At.UTC()})
	}
	return s
}

func (s *subState) status(views []*taskView) SubTopologyStatus {
	st := SubTopologyStatus{Name: s.sub.Name, Records: s.records.Load(), Rate: s.speed.perSecond(),
		Dropped: map[string]int64{}, Letters: map[string]int64{}, Tasks: []TaskStatus{}, Standbys: s.keeper.standbys()}
	for _, r := range task.Reasons() {
		st.Dropped[r.String()], st.Letters[r.String()] = s.drops.Count(r), s.drops.Letters(r)
	}
	for _, v := range views {
		if v.state == s {
			st.Tasks = append(st.Tasks, v.status())
		}
	}
	return st
}

func (v *taskView) status() TaskStatus {
	st := TaskStatus{Partition: v.partition, Open: v.open.Load(), Since: v.since.UTC(), Restored: v.restored.Load(),
		Inputs: []PositionStatus{}, StreamTimes: map[string]time.Time{}}
	if !st.Open {
		st.WaitsFor = v.opening.String()
	}
	last := v.last.Load()
	if last == nil {
		return st
	}
	st.Commits = last.Sequence
	for _, topic := range v.state.sub.Topics() {
		p := PositionStatus{Topic: topic, Partition: v.partition, Next: max(last.Inputs[topic], 0), End: -1, Lag: -1}
		if end, ok := v.state.end(topic, v.partition); ok {
			p.End, p.Lag = end, max(end-p.Next, 0)
		}
		st.Inputs = append(st.Inputs, p)
	}
	for name, at := range last.StreamTimes {
		if at > windows.Time(0) {
			st.StreamTimes[name] = time.UnixMilli(int64(at)).UTC()
		}
	}
	return st
}

func (t *table) status() TableStatus {
	st := TableStatus{Table: t.plan.Topic, Ready: t.ready.Load(), Duplicates: t.mirror.Duplicates.Load(),
		Contradictions: t.mirror.Contradictions.Load(), Partitions: []PositionStatus{}}
	if t.plan.Windows != nil {
		st.Window = t.plan.Windows.Name()
	}
	st.Rows, st.Bytes = sizeOf(t.store.(interface{ inner() stores.Store }).inner())
	t.mu.Lock()
	defer t.mu.Unlock()
	for p, end := range t.ends {
		next := max(t.positions[p], 0)
		lag := max(end-next, 0)
		st.Partitions = append(st.Partitions, PositionStatus{Topic: t.plan.Topic, Partition: p, Next: next, End: end,
			Lag: lag})
		st.Lag = max(st.Lag, lag)
	}
	slices.SortFunc(st.Partitions, func(a, b PositionStatus) int { return cmp.Compare(a.Partition, b.Partition) })
	return st
}
