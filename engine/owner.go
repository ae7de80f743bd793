package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ashi-stream/ashi/engine/internal/rare"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/topology"
)

// Topics of results of windows have one owner. Their default names do not tell the application, and
// a reader of finals takes the first row of a window for the right one: two applications that write
// one topic would each have some of the other's numbers. So the owner of a topic stands in Kafka,
// as the text of an offset that a group of the topic's own has committed (topology.OwnerGroup). The
// group never has members. A claim that nobody renews is forgotten by the brokers after
// offsets.retention.minutes, 7 days by default; that of a topic which was made again does not
// count.

// ErrOwned says that a topic of results is another application's.
var ErrOwned = errors.New("engine: topic of results belongs to another application")

const (
	// claimSoon is when claims are read again after a start: of two applications that claim a topic
	// at one time the one whose claim is overwritten finds out.
	claimSoon = 5 * time.Second
	// claimAgain is how often claims are renewed.
	claimAgain = 10 * time.Minute
)

// resultTopics are the topics of results of windows, sorted.
func resultTopics(p *topology.Plan) (topics []string) {
	for _, s := range p.Subs {
		for n := range s.Nodes() {
			a, ok := n.Op.(*topology.Aggregate)
			if !ok {
				continue
			}
			for _, result := range slices.Concat(a.Changes, a.Finals) {
				if result == nil {
					continue
				}
				if k, ok := result.Op.(*topology.Sink); ok && !k.Internal {
					topics = append(topics, k.Topic)
				}
			}
		}
	}
	slices.Sort(topics)
	return slices.Compact(topics)
}

// claim makes the topics of results this application's, or is an ErrOwned that names who has one.
// Claims that are there already are written again.
func (e *Engine) claim(ctx context.Context, admin *kafka.Admin) error {
	topics := resultTopics(e.plan)
	found, err := admin.Topics(ctx, topics...)
	if err != nil {
		return err
	}
	for _, topic := range topics {
		id := found.Topics[topic].ID.String()
		if err := e.mine(ctx, admin, topic, id); err != nil {
			return err
		}
		if err := admin.Note(ctx, topology.OwnerGroup(topic), topic, fmt.Sprintf("application=%s topic=%s", e.plan.Name,
			id)); err != nil {
			return err
		}
	}
	return nil
}

// mine is an ErrOwned if somebody else has a topic.
func (e *Engine) mine(ctx context.Context, admin *kafka.Admin, topic, id string) error {
	group := topology.OwnerGroup(topic)
	commits, err := admin.Commits(ctx, group, topic)
	if err != nil {
		return err
	}
	note := readNote(commits[0].Metadata)
	owner := note["application"]
	if owner == "" || owner == e.plan.Name || note["topic"] != id {
		return nil
	}
	return fmt.Errorf(
		"%w: %s is written by application %q: two that write one topic would mix their results. Give those of one "+
			"of them another name with Named; "+
			"or, if %s will not run again, give the topic over by\n\t%s", ErrOwned, topic, owner, owner,
		e.kafka.DeleteGroupCommand(group))
}

// keepClaims renews the claims until ctx is done, and ends Run if somebody else has claimed a topic
// meanwhile.
func (e *Engine) keepClaims(ctx context.Context) error {
	if len(resultTopics(e.plan)) == 0 {
		return nil
	}
	admin, err := kafka.NewAdmin(e.kafka)
	if err != nil {
		return fmt.Errorf("engine: claims: %w", err)
	}
	defer admin.Close()
	limited := rare.New(e.cfg.Log)
	next := time.NewTimer(claimSoon)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		}
		next.Reset(claimAgain)
		err := e.claim(ctx, admin)
		switch {
		case errors.Is(err, ErrOwned):
			return err
		case err != nil && ctx.Err() == nil:
			limited.Warn(
				"claims of topics of results are not renewed: other applications may take them when they have expired",
				"error", err)
		}
	}
}
