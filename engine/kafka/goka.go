package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"maps"
	"sync"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
)

// errInert is what the stand-ins answer: goka is wired so that it never asks.
var errInert = errors.New("kafka: goka does not read, write or create topics here")

// delivery is what a lane's worker is to do next. It travels through goka as a handle.
type delivery struct {
	lane  *lane
	claim *claim // of the chunk
	chunk *chunk // nil: a tick, unless one of the following says what it is
	wake  bool   // it may be known now what the worker waits for
	last  bool   // nothing comes after it: close the worker
}

// handles gives deliveries numbers for their way through goka, which carries bytes only.
type handles struct {
	mu   sync.Mutex
	next uint64
	held map[uint64]*delivery
}

func (h *handles) put(d *delivery) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held == nil {
		h.held = make(map[uint64]*delivery)
	}
	h.next++
	h.held[h.next] = d
	return binary.BigEndian.AppendUint64(nil, h.next)
}

// clear forgets deliveries that never arrived.
func (h *handles) clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.held)
}

// Encode is goka.Codec's.
func (h *handles) Encode(any) ([]byte, error) { return nil, errInert }

// Decode is goka.Codec's: it trades a handle for its delivery.
func (h *handles) Decode(data []byte) (any, error) {
	if len(data) != 8 {
		return nil, fmt.Errorf("kafka: %d bytes are no handle", len(data))
	}
	id := binary.BigEndian.Uint64(data)
	h.mu.Lock()
	defer h.mu.Unlock()
	d, held := h.held[id]
	if !held {
		return nil, fmt.Errorf("kafka: unknown handle %d", id)
	}
	delete(h.held, id)
	return d, nil
}

// topics is goka's topic manager: it answers from what NewGroup has found, and says that the group
// table is recovered, because the worker restores itself.
type topics map[string]int32 // partitions

var _ goka.TopicManager = topics(nil)

func (topics) EnsureTableExists(string, int) error                         { return nil } // NewGroup has
func (topics) EnsureStreamExists(string, int) error                        { return errInert }
func (topics) EnsureTopicExists(string, int, int, map[string]string) error { return errInert }
func (topics) GetOffset(string, int32, int64) (int64, error)               { return 0, nil }
func (topics) Close() error                                                { return nil }

// with is topics of which each has a partition at least: NewGroup may have seen fewer.
func (t topics) with(partition int32) topics {
	all := maps.Clone(t)
	for topic := range all {
		all[topic] = max(all[topic], partition+1)
	}
	return all
}

// Partitions is goka.TopicManager's.
func (t topics) Partitions(topic string) ([]int32, error) {
	list := make([]int32, t[topic])
	for i := range list {
		list[i] = int32(i)
	}
	return list, nil
}

// emitter is goka's producer: nothing is emitted through goka.
type emitter struct{}

var _ goka.Producer = emitter{}

func newEmitter([]string, string, func() hash.Hash32) (goka.Producer, error) { return emitter{}, nil }

func (emitter) Emit(topic, key string, value []byte) *goka.Promise {
	return emitter{}.EmitWithHeaders(topic, key, value, nil)
}

func (emitter) EmitWithHeaders(string, string, []byte, goka.Headers) *goka.Promise {
	promise, finish := goka.NewPromiseWithFinisher()
	finish(nil, errInert)
	return promise
}

func (emitter) Close() error { return nil }

// reader is goka's consumer of tables: there are none.
type reader struct{}

var _ sarama.Consumer = reader{}

func newReader([]string, string) (sarama.Consumer, error) { return reader{}, nil }

func (reader) Topics() ([]string, error)                  { return nil, nil }
func (reader) Partitions(string) ([]int32, error)         { return nil, nil }
func (reader) HighWaterMarks() map[string]map[int32]int64 { return nil }
func (reader) Close() error                               { return nil }
func (reader) Pause(map[string][]int32)                   {}
func (reader) Resume(map[string][]int32)                  {}
func (reader) PauseAll()                                  {}
func (reader) ResumeAll()                                 {}
func (reader) ConsumePartition(string, int32, int64) (sarama.PartitionConsumer, error) {
	return nil, errInert
}

// workerStorage is goka's storage of a partition: its life is the worker's, and it holds nothing.
type workerStorage struct {
	storage.Storage // the rest of the interface: goka's null storage
	lane            *lane
}

func (s *workerStorage) Open() error  { return s.lane.open() }
func (s *workerStorage) Close() error { return s.lane.abandoned() }

// gokaLog hands goka's log lines to slog: they are for those who look into goka.
type gokaLog struct{ log *slog.Logger }

func (l gokaLog) Print(args ...any)              { l.log.Debug("goka: " + fmt.Sprint(args...)) }
func (l gokaLog) Println(args ...any)            { l.log.Debug("goka: " + fmt.Sprint(args...)) }
func (l gokaLog) Printf(format string, a ...any) { l.log.Debug("goka: " + fmt.Sprintf(format, a...)) }
