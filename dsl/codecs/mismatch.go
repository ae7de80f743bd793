package codecs

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/segmentio/encoding/json"
)

// mismatch names the column whose value has the wrong type. The library's own error shows the type of the shadow, which nobody has written.
func mismatch(err error) error {
	var t *json.UnmarshalTypeError
	if !errors.As(err, &t) || t.Field == "" {
		return err
	}
	found, quoted := strconv.Unquote(t.Value)
	if quoted != nil {
		found = t.Value
	}
	want := t.Type.String()
	if t.Type == reflect.TypeFor[time.Time]() {
		want = "an RFC 3339 text (numbers: tag format=ms)"
	}
	return fmt.Errorf("column %q: want %s, found %s", t.Field, want, found)
}
