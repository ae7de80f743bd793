package registry

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
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
	// URLs of the registry, at least one: http or https, without user and password. Where one
	// cannot be connected to the next is asked.
	URLs []string
	// Username and Password are for basic authentication, Token is a bearer token. Not both.
	// PasswordFile and TokenFile, in place of those, hold nothing else, and are read for each
	// request: what is replaced there is taken up without a restart.
	Username     string
	Password     kafka.Secret
	PasswordFile string
	Token        kafka.Secret
	TokenFile    string
	// TLS is for https; nil: the system's certificates.
	TLS *tls.Config `json:"-"`
	// Timeout of a request. 0 is DefaultTimeout.
	Timeout time.Duration
	// Patience is how long a registry that does not answer is asked again. 0 is DefaultPatience.
	Patience time.Duration
	// LookupOnly switches registration off: schemas have to be registered by others.
	LookupOnly bool
	// Log is where New warns of what works and should not be so. nil: slog.Default().
	Log *slog.Logger `json:"-"`
}

// Validate returns every problem, joined. It reads the files.
func (c *Config) Validate() error {
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
	errs = append(errs, c.validateSecrets())
	if c.Timeout < 0 {
		errs = append(errs, fmt.Errorf("a Timeout of %v", c.Timeout))
	}
	if c.Patience < 0 {
		errs = append(errs, fmt.Errorf("a Patience of %v", c.Patience))
	}
	return errors.Join(errs...)
}

// Warnings are what works and should not be so: a secret that goes over http to another machine.
func (c *Config) Warnings() []string {
	secret := c.Username != "" || !c.Token.IsZero() || c.TokenFile != ""
	for _, text := range c.URLs {
		if u, err := url.Parse(text); secret && err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
			return []string{"the registry's password or token over http is there for everybody on the way to read"}
		}
	}
	return nil
}

// loopback says that a host is this machine.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c *Config) validateSecrets() error {
	var errs []error
	password, token := !c.Password.IsZero() || c.PasswordFile != "", !c.Token.IsZero() || c.TokenFile != ""
	if password && c.Username == "" {
		errs = append(errs, errors.New("a Password without a Username"))
	}
	if token && c.Username != "" {
		errs = append(errs, errors.New("a Token beside a Username: it is one or the other"))
	}
	if !c.Password.IsZero() && c.PasswordFile != "" {
		errs = append(errs, errors.New("a Password beside a PasswordFile: it is one or the other"))
	}
	if !c.Token.IsZero() && c.TokenFile != "" {
		errs = append(errs, errors.New("a Token beside a TokenFile: it is one or the other"))
	}
	if _, err := c.password(); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.token(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (c *Config) password() (kafka.Secret, error) {
	return secretOf("PasswordFile", c.PasswordFile, c.Password)
}

func (c *Config) token() (kafka.Secret, error) { return secretOf("TokenFile", c.TokenFile, c.Token) }

func secretOf(name, file string, given kafka.Secret) (kafka.Secret, error) {
	if file == "" {
		return given, nil
	}
	secret, err := kafka.ReadSecret(file)
	if err != nil {
		return secret, fmt.Errorf("%s: %w", name, err)
	}
	return secret, nil
}

// authorize says who asks.
func (c *Config) authorize(req *http.Request) error {
	token, err := c.token()
	if err != nil {
		return err
	}
	if !token.IsZero() {
		req.Header.Set("Authorization", "Bearer "+token.Reveal())
	}
	if c.Username == "" {
		return nil
	}
	password, err := c.password()
	if err == nil {
		req.SetBasicAuth(c.Username, password.Reveal())
	}
	return err
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
