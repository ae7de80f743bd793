package rare_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/internal/rare"
)

func TestLogSaysAMessageOnceInTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := rare.New(slog.New(slog.NewTextHandler(&out,
			&slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			}})))
		for i := range 25 { // seconds
			log.Warn("fetch failed", "at", i)
			if i < 2 {
				log.Error("store damaged")
			}
			time.Sleep(time.Second) // virtual
		}
		require.Equal(t, []string{
			`level=WARN msg="fetch failed" at=0`,
			`level=ERROR msg="store damaged"`,
			`level=WARN msg="fetch failed" at=10 unsaid=9`,
			`level=WARN msg="fetch failed" at=20 unsaid=9`,
		}, strings.Split(strings.TrimSpace(out.String()), "\n"))
	})
}
