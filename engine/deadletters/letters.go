package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
)

// letter is a dead letter where it stands.
type letter struct {
	task.Letter
	partition int32 // of the dead letters
	offset    int64
	written   time.Time
	sentTo    string // topic that it was sent anew to; empty: it was not
}

// place is how the command names it.
func (l *letter) place() string { return fmt.Sprintf("%d:%d", l.partition, l.offset) }

// filter says which letters are meant; what is empty is not asked for.
type filter struct {
	source, class, application, step string
	since, until                     time.Time
}

func (f *filter) setClass(class string) error {
	if !slices.Contains(task.Classes(), class) {
		return fmt.Errorf("there is no such class: there are %s", strings.Join(task.Classes(), ", "))
	}
	f.class = class
	return nil
}

func (f *filter) matches(l *letter) bool {
	for _, pair := range [][2]string{{f.source, l.Topic}, {f.class, l.Class}, {f.application, l.Application},
		{f.step, l.Step}} {
		if pair[0] != "" && pair[0] != pair[1] {
			return false
		}
	}
	return (f.since.IsZero() || !l.written.Before(f.since)) && (f.until.IsZero() || l.written.Before(f.until))
}

// read is all letters that are committed now and match, partition by partition in their order.
func (c *command) read(ctx context.Context) ([]*letter, error) {
	admin, err := kafka.NewAdmin(c.kafka)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	counts, err := admin.Partitions(ctx, c.topic)
	if err != nil {
		return nil, err
	}
	if counts[c.topic] == 0 {
		return nil, fmt.Errorf("topic %s does not exist", c.topic)
	}
	ends, err := admin.Ends(ctx, c.topic, true)
	if err != nil {
		return nil, err
	}
	from := map[int32]int64{}
	for p := range ends {
		from[p] = kafka.Oldest
	}
	letters := make([][]*letter, len(ends))
	sent := map[string]string{}
	known, others := 0, 0 // letters and marks, and other records
	err = kafka.Follow(ctx, c.kafka, kafka.FollowConfig{Topic: c.topic, From: from, Until: ends,
		Apply: func(p int32, records []task.Record, _ int64) error {
			for i := range records {
				r := &records[i]
				parsed, ok := task.ParseLetter(r) // first: its record may have been given any header
				if !ok {
					if place, to, ok := task.ParseMark(r); ok {
						sent[place] = to
						known++
					} else {
						others++
					}
					continue
				}
				known++
				l := &letter{Letter: parsed, partition: p, offset: r.Offset,
					written: time.UnixMilli(int64(r.Timestamp)).UTC()}
				if c.filter.matches(l) {
					letters[p] = append(letters[p], l)
				}
			}
			return nil
		}})
	if err != nil {
		return nil, err
	}
	if known == 0 && others > 0 {
		return nil,
			fmt.Errorf(
				"none of the %d records of topic %s is a dead letter: name the topic of the dead letters with -topic",
				others, c.topic)
	}
	all := slices.Concat(letters...)
	for _, l := range all {
		l.sentTo = sent[l.place()]
	}
	return all, nil
}

// named is the letters at the places that were named, each of which must be there.
func (c *command) named(letters []*letter) ([]*letter, error) {
	var found []*letter
	for _, place := range c.selected {
		i := slices.IndexFunc(letters, func(l *letter) bool { return l.place() == place })
		if i < 0 {
			return nil, fmt.Errorf("there is no letter %s in topic %s that matches", place, c.topic)
		}
		if !slices.Contains(found, letters[i]) {
			found = append(found, letters[i])
		}
	}
	return found, nil
}
