package rig

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ashi-stream/ashi/engine/embedded"
	"github.com/ashi-stream/ashi/engine/kafka"
)

// Brokers is the addresses that are separated by commas, or that of a broker in the process if
// there are none. Call end when all is done.
func Brokers(addresses string) (brokers []string, end func(), err error) {
	if addresses != "" {
		return strings.Split(addresses, ","), func() {}, nil
	}
	broker, err := embedded.Start(embedded.Config{})
	if err != nil {
		return nil, nil, err
	}
	return broker.Addrs(), func() { broker.Close() }, nil
}

// Forget deletes topics, in 10 s at most, and says so if it cannot.
func Forget(admin *kafka.Admin, stderr io.Writer, topics ...string) {
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	if err := admin.Delete(ctx, topics...); err != nil {
		fmt.Fprintln(stderr, "topics are left:", err)
	}
}

// Reached says whether the offsets that a group has committed are at the ends of a topic's
// partitions, or behind.
func Reached(ctx context.Context, admin *kafka.Admin, group, topic string, ends map[int32]int64) (bool, error) {
	offsets, err := admin.CommittedOffsets(ctx, group, topic)
	for p, end := range ends {
		if err != nil || end > 0 && offsets[p] < end {
			return false, err
		}
	}
	return true, nil
}
