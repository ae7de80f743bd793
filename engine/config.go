package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/ashi-stream/ashi/engine/kafka"
)

// Guarantee says how results relate to input when something fails.
type Guarantee uint8

const (
	// ExactlyOnce writes results, state and input positions in one transaction: those who read
	// committed see each result once.
	ExactlyOnce Guarantee = iota
	// AtLeastOnce does the same without transactions, for brokers that forbid them. After a failure
	// what was written since the last commit is written again, and a commit that was cut short may
	// leave changed rows of it behind, so that records can count twice. docs/reliability.md, Gaps,
	// says what it cannot keep.
	AtLeastOnce
)

// String is exactly-once or at-least-once.
func (g Guarantee) String() string {
	if g == AtLeastOnce {
		return "at-least-once"
	}
	return "exactly-once"
}

// PlanChange says what becomes of state when a step that it belongs to is not what it was
// (docs/operations.md, "Changing a plan"). Steps that are new, gone, or in another place are no
// such change.
type PlanChange uint8

const (
	// Refuse ends Run with an error that says what each step was and is. Nothing is written: the
	// program of before can go on.
	Refuse PlanChange = iota
	// Rebuild drops the state of the whole sub-topology and reads its input topics again from their
	// oldest records. Results are written once more, so it is for plans whose readers can bear
	// that; final rows that are there already stay what they are for those who have read them
	// (FIN-5). A sub-topology that reads or writes internal topics is refused all the same: what is
	// in them would count twice.
	Rebuild
)

// String is refuse or rebuild.
func (p PlanChange) String() string {
	if p == Rebuild {
		return "rebuild"
	}
	return "refuse"
}

// Config says how an Engine runs. Only Brokers is needed; the zero of every other field stands for
// the default in its comment. The bounds of durations, sizes and counts are those of the keys of
// the same names in docs/configuration.md.
type Config struct {
	// Brokers are host:port addresses to begin with.
	Brokers []string
	// StateDir is where stores are kept. Empty: in memory, and rebuilt from Kafka at each start.
	StateDir string
	// Log takes log lines, each with the attribute component: core, messaging, or serialization.
	// Default: slog.Default().
	Log *slog.Logger
	// TracerProvider makes OpenTelemetry spans of openings, transactions, commits, checkpoints and
	// rebalances (docs/metrics.md). Nil: none, at no cost.
	TracerProvider trace.TracerProvider
	// Guarantee: ExactlyOnce.
	Guarantee Guarantee

	// CommitInterval is the time between commits, and so the delay until results are seen: 1 s.
	CommitInterval time.Duration
	// CommitBytes of results and changed rows make a commit earlier: 64 MiB.
	CommitBytes int
	// CheckpointInterval is the time between copies of changed rows into the stores: 30 s. What is
	// newer is restored from Kafka.
	CheckpointInterval time.Duration
	// CheckpointBytes of changed rows make a checkpoint earlier: 256 MiB.
	CheckpointBytes int
	// Memory is what all tasks of this process may take, in bytes: 512 MiB. Three eighths are for
	// rows, sessions and groups, those beyond are read from the stores; three sixteenths for the
	// stores' write buffers and block caches; some for batches on their way in and out; what is
	// left is the collector's spare room. Tables are not in it (see Tables.Memory), nor are the
	// program's own pages, some 35 MB. The stores of an empty StateDir are all in memory whatever
	// this says.
	//
	// In a container of this size set GOMEMLIMIT, or debug.SetMemoryLimit, to five eighths of it:
	// Go would else let garbage grow to the size of what is in use. MALLOC_ARENA_MAX=1 keeps the C
	// library's allocator from holding on to memory in several places.
	Memory int
	// MaxAhead is how far ahead of this machine's clock an event time may be: 1 h, which is also
	// how far ahead brokers let a record's timestamp be unless they are told otherwise. Records
	// beyond are dropped, counted and logged, as a single one would close every window of its
	// partition. NoBound lets everything pass, as Kafka Streams does.
	MaxAhead time.Duration
	// EveryUpdate puts every update of a row out as a change, not only the last one before each
	// commit.
	EveryUpdate bool

	// OnPlanChange: Refuse. Set Rebuild for one deployment, not for ever: it would hide the next
	// change.
	OnPlanChange PlanChange

	// Security is how connections to brokers are protected, and who this process is to them: not at
	// all, and nobody.
	Security kafka.Security
	// ClientID is what brokers know this process's connections by, for their logs and quotas: the
	// plan's name.
	ClientID string
	// Client are further settings of the clients.
	Client kafka.Client
	// Replication of the topics that the engine creates: the broker's default.
	Replication int16
	// Topics says how topics are created, and whether.
	Topics Topics
	// Tables says how the tables of this process are kept.
	Tables Tables
	// WithoutTables switches the tables off for this process and says why. It is logged as a
	// warning.
	WithoutTables string
	// SlowAfter is how long one call of the program's code in a task, such as a function of a step,
	// a joiner or a codec, may take: 30 s. Then a warning says in which step and at which record it
	// is, and the tables are not ready until it returns (TaskStuck). At most StuckAfter.
	SlowAfter time.Duration
	// StuckAfter is how long such a call may take before Run gives it up: 5 min, which is Kafka's
	// max.poll.interval.ms. Run then ends with ErrStuck; the goroutine and the store of that task
	// stay behind in the process, which should end (docs/operations.md). Another process goes on
	// from the last commit. NoBound waits for ever, save where the partition is to move or Run is
	// to end: that is always bounded.
	StuckAfter time.Duration
	// SessionTimeout is how long a process may be silent before its partitions go to others: 45 s.
	SessionTimeout time.Duration
	// StartTimeout bounds the wait for a broker at the start of Run: 15 s.
	StartTimeout time.Duration
	// ReadyTimeout bounds the wait for the tables at the start of Run, from when the brokers have
	// answered: 15 s. Then Run fails with an error that names what is missing; stores keep how far
	// they are, so that a restart goes on from there. NoBound waits for ever (RDY-2).
	ReadyTimeout time.Duration
	// MaxLag is how many records a partition of a table may be behind its topic: 100,000. With more
	// for 5 s the tables are not ready, until it is within the limit again. math.MaxInt64 is no
	// limit (RDY-3).
	MaxLag int64
	// StatusAddr serves /healthz, /readyz, /status and /status.html while Run does: host:port, or a
	// port alone, which is 127.0.0.1's. Port 0 is a free one (Engine.StatusAddr). Empty: none.
	// Nobody is asked who they are: bind to other than loopback with care.
	StatusAddr string
	// Standbys is how many other processes keep a copy of each task's state, from which they take
	// the task over with hardly anything to restore: 0. With fewer other processes there are as
	// many copies as they can keep. Each costs the disk, and the share of Memory, of a task, and
	// reads the changelog once more (docs/operations.md).
	Standbys int
	// InstanceID names this process for longer than it lives, among all of the application: one
	// that ends and comes back within SessionTimeout takes its own partitions up again, and the
	// others do not take part (static membership, KIP-345). Nobody takes its partitions before
	// SessionTimeout is over, whether it was killed or stopped. Empty: whoever ends leaves at once.
	InstanceID string
	// Dial opens connections to brokers. Default: TCP.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// NoBound as Config.MaxAhead puts no bound on event times, as Config.ReadyTimeout none on the wait
// for tables, and as Config.StuckAfter none on calls of the program's code.
const NoBound time.Duration = -1

// validate returns every problem, joined.
func (c *Config) validate() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, errors.New("no address given: set Brokers"))
	}
	for _, b := range c.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			errs = append(errs, fmt.Errorf("broker %q: want host:port", b))
		}
	}
	if _, err := listenAddr(c.StatusAddr); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, c.validateBounds(), c.Tables.validate(), c.Topics.validate(), c.Security.Validate(),
		c.Client.Validate())
	if c.Guarantee > AtLeastOnce {
		errs = append(errs, fmt.Errorf("a Guarantee of %d is none", c.Guarantee))
	}
	if c.OnPlanChange > Rebuild {
		errs = append(errs, fmt.Errorf("an OnPlanChange of %d is none", c.OnPlanChange))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	setDefault(&c.CommitInterval, time.Second)
	setDefault(&c.CommitBytes, 64<<20)
	setDefault(&c.CheckpointInterval, 30*time.Second)
	setDefault(&c.CheckpointBytes, 256<<20)
	setDefault(&c.Memory, 512<<20)
	setDefault(&c.MaxAhead, time.Hour)
	setDefault(&c.Replication, -1)
	setDefault(&c.StartTimeout, 15*time.Second)
	setDefault(&c.ReadyTimeout, 15*time.Second)
	setDefault(&c.MaxLag, 100_000)
	setDefault(&c.StuckAfter, defaultStuckAfter)
	if c.SlowAfter == 0 {
		c.SlowAfter = 30 * time.Second
		if c.StuckAfter > 0 {
			c.SlowAfter = min(c.SlowAfter, c.StuckAfter)
		}
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// defaultStuckAfter is Kafka's max.poll.interval.ms.
const defaultStuckAfter = 5 * time.Minute

func setDefault[V comparable](v *V, d V) {
	var zero V
	if *v == zero {
		*v = d
	}
}
