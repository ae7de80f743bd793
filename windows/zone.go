package windows

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"time"
)

// zone is a time zone with an identity. zoneOf gives one pointer to each zone of the process,
// however often the zone was loaded, so that kinds of equal zones are equal.
type zone struct {
	*time.Location
	text  string // as plans print it
	rules uint64 // hash of its offsets
}

// zones holds every *zone by its text.
var zones sync.Map

// machine is the zone that time.Local is before a program sets it.
var machine = time.Local

// Bounds of the months at which zones are compared.
const firstZoneYear, lastZoneYear = 1970, 2050

var (
	errNoZone    = errors.New("no time zone given")
	errLocalZone = errors.New(
		`time.Local is another zone on each machine: give the zone by its name, time.LoadLocation("Europe/Berlin"), or time.UTC`)
)

// zoneOf is the zone of a location. A zone with a name from the database is known by the name, and
// one of time.FixedZone by its name and its offset: several may have one name.
func zoneOf(l *time.Location) (*zone, error) {
	switch {
	case l == nil:
		return nil, errNoZone
	// with TZ set the machine's zone has a name of the database
	case l.String() == "Local", l == machine && l != time.UTC:
		return nil, errLocalZone
	}
	z := &zone{Location: l, text: l.String()}
	if _, seconds := time.Unix(0, 0).In(l).Zone(); z.probe() && (z.text != "UTC" || seconds != 0) {
		z.text += time.Unix(0, 0).In(l).Format(offsetLayout(seconds))
	}
	known, _ := zones.LoadOrStore(z.text, z)
	if other := known.(*zone); other.rules != z.rules {
		return nil, fmt.Errorf("two time zones are named %s and have different offsets: give one of them another name",
			z.text)
	}
	return known.(*zone), nil
}

// probe hashes the offsets of the zone, and says whether it is one of time.FixedZone: of a single
// offset, whose short name is its name.
func (z *zone) probe() (fixed bool) {
	fixed = true
	_, first := time.Unix(0, 0).In(z.Location).Zone()
	hash := fnv.New64a()
	for year := firstZoneYear; year < lastZoneYear; year++ {
		for month := time.January; month <= time.December; month++ {
			name, offset := time.Date(year, month, 15, 0, 0, 0, 0, time.UTC).In(z.Location).Zone()
			fixed = fixed && offset == first && name == z.Location.String()
			_ = binary.Write(hash, binary.BigEndian, int32(offset))
		}
	}
	z.rules = hash.Sum64()
	return fixed
}

// offsetLayout prints the offset of a fixed zone, with its seconds if it has some.
func offsetLayout(seconds int) string {
	if seconds%60 != 0 {
		return "(-07:00:00)"
	}
	return "(-07:00)"
}
