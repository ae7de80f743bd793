package main

import (
	"time"

	"github.com/ashi-stream/ashi/bench/internal/rig"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
)

// reach is how far apart joined rows may be, either way.
const reach = 10 * time.Second

// joined is a row of the output of joins; what is of the right side is 0 where there is none.
type joined struct {
	LeftAt, RightAt   int64
	LeftBid, RightBid float64
}

func join(l, r *rig.PeerTick) (joined, error) {
	j := joined{LeftAt: l.At, LeftBid: l.Bid}
	if r != nil {
		j.RightAt, j.RightBid = r.At, r.Bid
	}
	return j, nil
}

// declareJoin adds the join of the ticks of both topics.
func (o *options) declareJoin(b *dsl.Builder, left *dsl.StreamOf[rig.PeerTick], input codecs.Codec[rig.PeerTick]) {
	kind := dsl.Join[rig.PeerTick, rig.PeerTick, joined]
	if o.workload == "left" {
		kind = dsl.LeftJoin[rig.PeerTick, rig.PeerTick, joined]
	}
	kind(left, dsl.Stream[rig.PeerTick](b, o.second).Codec(input), dsl.Within(reach, reach),
		join).To(o.out).Codec(codecs.Fixed[joined]())
}
