package input

import (
	"errors"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// What is wrong with a JSON string.
var (
	ErrEscape    = errors.New("no escape of JSON")
	ErrControl   = errors.New("a control character that is not escaped")
	ErrSurrogate = errors.New("half a surrogate pair")
)

// Unescape is the text of a JSON string, without its quotes, that has escapes. Half a surrogate
// pair becomes U+FFFD, as everywhere; of a key it is an error, as all halves would be one text.
// After an error at is where it is in body.
func Unescape(body []byte, key bool) (text string, at int, err error) {
	to := make([]byte, 0, len(body))
	for i := 0; i < len(body); i++ {
		b := body[i]
		if b < ' ' {
			return "", i, ErrControl
		}
		if b != '\\' {
			to = append(to, b)
			continue
		}
		if i++; i == len(body) {
			return "", i, ErrEscape
		}
		switch e := body[i]; e {
		case '"', '\\', '/':
			to = append(to, e)
		case 'b':
			to = append(to, '\b')
		case 'f':
			to = append(to, '\f')
		case 'n':
			to = append(to, '\n')
		case 'r':
			to = append(to, '\r')
		case 't':
			to = append(to, '\t')
		case 'u':
			c, ok := hex4(body, i+1)
			if !ok {
				return "", i, ErrEscape
			}
			if i += 4; utf16.IsSurrogate(c) {
				pair := utf8.RuneError
				if i+2 < len(body) && body[i+1] == '\\' && body[i+2] == 'u' {
					if low, ok := hex4(body, i+3); ok {
						pair = utf16.DecodeRune(c, low)
					}
				}
				if c = pair; c != utf8.RuneError {
					i += 6
				} else if key {
					return "", i, ErrSurrogate
				}
			}
			to = utf8.AppendRune(to, c)
		default:
			return "", i, ErrEscape
		}
	}
	return unsafe.String(unsafe.SliceData(to), len(to)), 0, nil
}

// hex4 is the four hexadecimal digits at a place.
func hex4(body []byte, at int) (c rune, ok bool) {
	if len(body)-at < 4 {
		return 0, false
	}
	for _, b := range body[at : at+4] {
		switch {
		case b >= '0' && b <= '9':
			b -= '0'
		case b|0x20 >= 'a' && b|0x20 <= 'f':
			b = b | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		c = c<<4 | rune(b)
	}
	return c, true
}
