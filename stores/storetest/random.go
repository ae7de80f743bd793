package storetest

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"

	"github.com/ashi-stream/ashi/stores"
)

const seedVariable = "STORETEST_SEED"

// model is what a store ought to hold.
type model map[string]string

func randomRule() rule {
	return rule{
		"random operations", "a store holds what its Writes, applied in order to a map, would leave",
		func(s stores.Store) error {
			seed := rand.Uint64()
			if text, ok := os.LookupEnv(seedVariable); ok {
				given, err := strconv.ParseUint(text, 10, 64)
				if err != nil {
					return fmt.Errorf("%s: %w", seedVariable, err)
				}
				seed = given
			}
			if err := checkRandom(s, rand.New(rand.NewPCG(seed, 0))); err != nil {
				return fmt.Errorf("%s=%d: %w", seedVariable, seed, err)
			}
			return nil
		},
	}
}

func checkRandom(s stores.Store, r *rand.Rand) error {
	const batches = 600
	m := model{}
	b := &stores.Batch{}
	for i := range batches {
		b.Reset()
		for range r.IntN(20) {
			addRandomOp(b, r)
		}
		m.apply(b)
		if err := s.Write(b); err != nil {
			return fmt.Errorf("batch %d: %w", i, err)
		}
		if r.IntN(40) == 0 {
			if err := s.Flush(); err != nil {
				return fmt.Errorf("after batch %d: %w", i, err)
			}
		}
		if err := compareRandom(s, m, r); err != nil {
			return fmt.Errorf("after batch %d: %w", i, err)
		}
	}
	return nil
}

func addRandomOp(b *stores.Batch, r *rand.Rand) {
	switch p := r.IntN(20); {
	case p < 13:
		b.Put(randomKey(r), bytes.Repeat([]byte{byte(r.Uint32())}, r.IntN(50)))
	case p < 18:
		b.Delete(randomKey(r))
	default:
		b.DeleteRange(randomKey(r), randomKey(r))
	}
}

// randomKey draws from few keys, so that they meet, and from bytes that are awkward.
func randomKey(r *rand.Rand) []byte {
	const alphabet = "\x00\x01ab\xfe\xff"
	key := make([]byte, 1+r.IntN(4))
	for i := range key {
		key[i] = alphabet[r.IntN(len(alphabet))]
	}
	return key
}

func compareRandom(s stores.Store, m model, r *rand.Rand) error {
	for range 3 {
		key := string(randomKey(r))
		check := wantNone(s, key)
		if value, ok := m[key]; ok {
			check = wantValue(s, key, value)
		}
		if check != nil {
			return check
		}
	}
	from, to := randomKey(r), randomKey(r)
	if r.IntN(5) == 0 {
		from = nil
	}
	if r.IntN(5) == 0 {
		to = nil
	}
	got, err := collect(s, from, to)
	if err != nil {
		return err
	}
	if err := sameEntries(got, m.scan(from, to)); err != nil {
		return fmt.Errorf("Scan(%q, %q): %w", from, to, err)
	}
	return nil
}

func (m model) apply(b *stores.Batch) {
	for op := range b.Ops() {
		switch op.Kind {
		case stores.OpPut:
			m[string(op.Key)] = string(op.Value)
		case stores.OpDelete:
			delete(m, string(op.Key))
		case stores.OpDeleteRange:
			maps.DeleteFunc(m, func(key, _ string) bool { return key >= string(op.Key) && key < string(op.To) })
		}
	}
}

func (m model) scan(from, to []byte) []stores.Entry {
	var entries []stores.Entry
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if key >= string(from) && (to == nil || key < string(to)) {
			entries = append(entries, stores.Entry{Key: []byte(key), Value: []byte(m[key])})
		}
	}
	return entries
}
