package rows

import (
	"encoding/binary"
	"sync"
	"time"
)

// appendZone appends the zone of a time: 0 for UTC; else the length of its name and 1 as a uvarint,
// the name, and the seconds east of Greenwich at that time as a zigzag varint.
func appendZone(dst []byte, t *time.Time) []byte {
	zone := t.Location()
	if zone == time.UTC {
		return append(dst, 0)
	}
	name := zone.String()
	_, east := t.Zone()
	dst = append(binary.AppendUvarint(dst, uint64(len(name))+1), name...)
	return binary.AppendVarint(dst, int64(east))
}

// readZone gives a time in UTC the zone that it had. Where this machine knows none of the name that
// is as far from Greenwich at that time, it is a zone without rules: a clock on the wall shows the
// same.
func readZone(b []byte, t *time.Time) ([]byte, error) {
	if len(b) > 0 && b[0] == 0 {
		return b[1:], nil
	}
	n, b, err := length(b)
	if err != nil || n > len(b) {
		return nil, errCut
	}
	name := string(b[:n])
	east, w := binary.Varint(b[n:])
	if w <= 0 || east < -48*3600 || east > 48*3600 {
		return nil, errCut
	}
	in := t.In(zoneOf(name))
	if _, is := in.Zone(); int64(is) != east || in.Location().String() != name {
		in = t.In(time.FixedZone(name, int(east)))
	}
	*t = in
	return b[n+w:], nil
}

var (
	zones    sync.Map // name to *time.Location: nothing is read from disk for each row
	noZone   = time.FixedZone("", -1)
	zoneLock sync.Mutex
	zonesN   int
)

// zoneOf is the zone of a name, noZone if this machine has none.
func zoneOf(name string) *time.Location {
	if known, ok := zones.Load(name); ok {
		return known.(*time.Location)
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" {
		zone = noZone
	}
	zoneLock.Lock()
	defer zoneLock.Unlock()
	if zonesN < 1000 { // names are the program's, but who knows
		zones.Store(name, zone)
		zonesN++
	}
	return zone
}
