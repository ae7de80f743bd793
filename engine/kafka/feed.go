package kafka

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/ashi-stream/ashi/engine/internal/task"
)

// feed is one partition being fetched. Its fields belong to the fetcher and its lock.
type feed struct {
	topic     string
	partition int32
	fromStart bool // nothing was read yet, and it began at Oldest

	next    int64
	leader  int32        // -1: not known
	topicID task.TopicID // of the topic that next is of; zero: not known yet
	others  int          // answers in a row that know another topic of the name
	size    int32
	queue   []*chunk
	out     int // chunks that were popped and are not used up
	// the request under way that asks for it, or the last one: an answer to another one is not its
	// own
	asked   int
	askedAt time.Time // when that request was made
	atEnd   bool      // the last answer left nothing up to the last stable offset
	ended   bool
	dry     atomic.Bool // nothing to read now: at the end, and nothing queued or out

	// a token whenever the queue gets a chunk, has one to give again, or runs dry; feeds of one
	// reader share it
	arrived chan struct{}
}

// settle brings dry up to date; the fetcher's lock is held.
func (d *feed) settle() { d.dry.Store(d.atEnd && len(d.queue) == 0 && d.out == 0) }

type place struct {
	topic     string
	partition int32
}

// expect divides what may be on its way among so many feeds, those to come included.
func (f *fetcher) expect(feeds int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.size = int32(min(max(f.ahead/inFlight/max(feeds, 1), minChunk), maxChunk))
	for _, d := range f.feeds {
		d.size = f.size
	}
}

// add begins to fetch feeds, also while others are. There must be one of a partition at a time.
func (f *fetcher) add(feeds ...*feed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range feeds {
		d.leader, d.size, d.fromStart = -1, f.size, d.fromStart || d.next < 0
		f.byPlace[place{d.topic, d.partition}] = d
		f.feeds = append(f.feeds, d)
	}
	token(f.fresh)
}

// pop takes the oldest chunk of a feed, nil if there is none, or if the reader has not used up what
// it has.
func (f *fetcher) pop(d *feed) *chunk {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(d.queue) == 0 || d.out == outLimit {
		return nil
	}
	c := d.queue[0]
	d.queue[0] = nil
	d.queue = d.queue[1:]
	d.out++
	if wake := f.wakes[d.leader]; wake != nil {
		token(wake)
	}
	return c
}

// used says that the reader has used up the oldest chunk that it popped.
func (f *fetcher) used(d *feed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d.out == outLimit && len(d.queue) > 0 {
		token(d.arrived)
	}
	d.out--
	d.settle()
}

// end stops fetching a feed and drops what is queued.
func (f *fetcher) end(d *feed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d.ended, d.queue = true, nil
	if at := (place{d.topic, d.partition}); f.byPlace[at] == d {
		delete(f.byPlace, at)
	}
	if i := slices.Index(f.feeds, d); i >= 0 {
		f.feeds = slices.Delete(f.feeds, i, i+1)
	}
}
