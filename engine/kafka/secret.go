package kafka

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// Secret is a text that is not printed: not by fmt, log/slog or encoding/json, whatever it is part
// of. It shows as *** where it is set. The zero value is no secret. It is safe for concurrent use.
//
// It holds a function, not the text: fmt prints unexported fields of what surrounds them without
// asking for their String, and a function has nothing to show there.
type Secret struct{ reveal func() string }

// NewSecret hides text. An empty text is no secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{func() string { return text }}
}

// ReadSecret is the secret that is all that a file holds, save white space around it. An empty file
// is an error.
func ReadSecret(file string) (Secret, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Secret{}, err
	}
	secret := NewSecret(strings.TrimSpace(string(text)))
	if secret.IsZero() {
		return Secret{}, fmt.Errorf("%s is empty", file)
	}
	return secret, nil
}

// Reveal is the text.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.reveal == nil }

// String is *** or empty.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return "***"
}

// Format implements fmt.Formatter: every verb prints the same.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON implements json.Marshaler.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
