package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/ashi-stream/ashi/bench/internal/rig"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// plan is windows of 1 minute to the topic out, hopping ones of 60 minutes by 1, sessions with a
// gap of 30 s, or for multi of 1, 5, 15 and 60 minutes to out-1, out-5, out-15 and out-60; or a
// join with the topic second. For repartition they are windows of 1 minute again, of as many
// groups, but by way of an internal topic.
func (o *options) plan() (*topology.Plan, error) {
	var input codecs.Codec[rig.PeerTick] = codecs.Fixed[rig.PeerTick]()
	if o.codec == "json" {
		input = codecs.JSON[rig.PeerTick]()
	}
	spec := windows.Minutes(1)
	name := func(windows.Kind) string { return o.out }
	switch o.workload {
	case "hopping":
		spec = windows.Hopping(time.Hour, time.Minute)
	case "session":
		spec = windows.Session(30 * time.Second)
	case "multi":
		spec = windows.Minutes(1, 5, 15, 60)
		name = func(k windows.Kind) string { return o.out + "-" + strconv.Itoa(int(k.Size().Minutes())) }
	}
	b := dsl.New(o.app)
	ticks := dsl.Stream[rig.PeerTick](b, o.topic).Codec(input)
	if o.joins() {
		o.declareJoin(b, ticks, input)
	} else {
		groups := dsl.GroupByKey[string](ticks)
		if o.workload == "repartition" {
			groups = dsl.GroupBy(ticks, func(t *rig.PeerTick) string { return "by " + t.Pair })
		}
		rows := dsl.Aggregate(groups, spec, rig.CandleOf).Codec(codecs.Fixed[rig.Candle]())
		if o.emit == "changes" {
			rows.Changes().Named(name)
		} else {
			rows.Final().Named(name)
		}
	}
	p, err := b.Build()
	if err != nil {
		return nil, fmt.Errorf("e2e: %w", err)
	}
	return p, nil
}
