package input

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUnescape(t *testing.T) {
	for _, body := range []string{`\"\\\/\b\f\n\r\t`, `a\u0041\u00E9\uFFFD`, `\ud83d\ude00x`, `\uD83D`, `\ud83dx`,
		`\ude00\ud83d`, `\ud83d\u0041`, `é\n😀`} {
		var want string
		require.NoError(t, json.Unmarshal([]byte(`"`+body+`"`), &want))
		got, _, err := Unescape([]byte(body), false)
		require.NoError(t, err)
		require.Equal(t, want, got, body)
	}
	for body, want := range map[string]error{`\x`: ErrEscape, `\u12`: ErrEscape, `\u12g4`: ErrEscape, `\`: ErrEscape,
		"\\n\n": ErrControl} {
		_, at, err := Unescape([]byte(body), false)
		require.ErrorIs(t, err, want, body)
		require.LessOrEqual(t, at, len(body))
	}
	for _, body := range []string{`\ud83d`, `\ude00\ud83d`, `a\ud83d\u0041`} {
		_, _, err := Unescape([]byte(body), true)
		require.ErrorIs(t, err, ErrSurrogate, body)
	}
	got, _, err := Unescape([]byte(`\ufffd\ud83d\ude00`), true)
	require.NoError(t, err)
	require.Equal(t, "\ufffd😀", got)
}

func FuzzUnescape(f *testing.F) {
	f.Add([]byte(`a\u0041\ud83d\ude00\ud83d\n`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, _, err := Unescape(body, false)
		var want string
		if json.Unmarshal([]byte(`"`+string(body)+`"`), &want) != nil {
			return // has a quote, too
		}
		require.NoError(t, err)
		require.Equal(t, want, string([]rune(got)))
	})
}
