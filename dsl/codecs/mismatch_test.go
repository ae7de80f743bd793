package codecs_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl/codecs"
)

// The error of a value that does not fit is read by those who own the topic: it must name their
// column and what is in it.
func TestJSONNamesTheColumn(t *testing.T) {
	type inner struct{ N int8 }
	type click struct {
		User  string    `ashi:"user,key"`
		Load  float64   `ashi:"load"`
		Count int8      `ashi:"count"`
		Of    inner     `ashi:"of"`
		At    time.Time `ashi:"at,timestamp"`
	}
	c := codecs.JSON[click]()
	require.NoError(t, codecs.Err(c))
	for value, want := range map[string]string{
		`{"load":"x","user":"ann"}`: `codecs: json *codecs_test.click: column "load": want float64, found "x"`,
		`{"count":300}`:             `codecs: json *codecs_test.click: column "count": want int8, found 300, which does not fit`,
		`{"of":{"N":"one"}}`:        `codecs: json *codecs_test.click: column "of.N": want int8, found "one"`,
		`{"at":1700000000000}`:      `codecs: json *codecs_test.click: column "at": want an RFC 3339 text (numbers: tag format=ms), found 1700000000000`,
		`{"user":`:                  `codecs: json *codecs_test.click: JSON ends where a value should be at byte 8`,
	} {
		var row click
		assert.EqualError(t, c.Decode([]byte(value), &row), want, value)
	}
}
