package registry

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/ashi-stream/ashi/engine/kafka"
)

// Defaults of a Config.
const (
	DefaultTimeout  = 5 * time.Second
	DefaultPatience = 10 * time.Second
)

// Config says where a registry is. No secret of it is printed.
type Config struct {
	// URLs of the registry, at least one: http or https, without user and password. Where one cannot be connected to the next is asked.
	URLs []string
	// Username and Password are for basic authentication, Token is a bearer token. Not both.
	Username string
	Password kafka.Secret
	Token    kafka.Secret
	// TLS is for https; nil: the system's certificates.
	TLS *tls.Config `json:"-"`
	// Timeout of a request. 0 is DefaultTimeout.
	Timeout time.Duration
	// Patience is how long a registry that does not answer is asked again. 0 is DefaultPatience.
	Patience time.Duration
	// LookupOnly switches registration off: schemas have to be registered by others.
	LookupOnly bool
}

// validate lists every mistake.
func (c *Config) validate() error {
	var errs []error
	if len(c.URLs) == 0 {
		errs = append(errs, errors.New("no URLs"))
	}
	for _, text := range c.URLs {
		u, err := url.Parse(text)
		switch {
		case err != nil:
			errs = append(errs, errors.New("a URL that cannot be read")) // its text may hold a password
		case u.User != nil:
			errs = append(errs, fmt.Errorf("URL %s: user and password go into Username and Password", u.Redacted()))
		case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
			errs = append(errs, fmt.Errorf("URL %q: want http://host:port or https://host:port", text))
		}
	}
	if !c.Password.IsZero() && c.Username == "" {
		errs = append(errs, errors.New("a Password without a Username"))
	}
	if !c.Token.IsZero() && c.Username != "" {
		errs = append(errs, errors.New("a Token beside a Username: it is one or the other"))
	}
	if c.Timeout < 0 {
		errs = append(errs, fmt.Errorf("a Timeout of %v", c.Timeout))
	}
	if c.Patience < 0 {
		errs = append(errs, fmt.Errorf("a Patience of %v", c.Patience))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Patience == 0 {
		c.Patience = DefaultPatience
	}
	return c
}
