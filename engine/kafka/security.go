package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Security is how connections are protected, and who this process says that it is.
type Security struct {
	TLS  *TLS  // nil: connections are not encrypted
	SASL *SASL // nil: nobody is named, or a certificate of TLS does it
}

// TLS encrypts connections. Files are PEM; the client's certificate is read at each handshake, so
// that it may be replaced while the process runs, and CAFile once for each client.
type TLS struct {
	// CAFile has the certificates of those who sign the brokers' certificates. Empty: those that
	// the machine trusts.
	CAFile string
	// CertFile and KeyFile are this process's certificate and key, for clusters that know clients
	// by them: both or none.
	CertFile, KeyFile string
	// ServerName is whose certificate is expected of each broker. Empty: that of the host name of
	// its address.
	ServerName string
	// InsecureBecause is why brokers' certificates are not checked; anybody on the way can then
	// read and change everything. It is logged as a warning. Empty: they are checked.
	InsecureBecause string
}

// Mechanism is a way to prove who one is, by its name in Kafka.
type Mechanism string

// The mechanisms.
const (
	Plain       Mechanism = "PLAIN"
	ScramSHA256 Mechanism = "SCRAM-SHA-256"
	ScramSHA512 Mechanism = "SCRAM-SHA-512"
	OAuthBearer Mechanism = "OAUTHBEARER"
)

// Mechanisms are all of them.
func Mechanisms() []Mechanism { return []Mechanism{Plain, ScramSHA256, ScramSHA512, OAuthBearer} }

// SASL says who this process is. Files and Token are read for each connection, and when brokers ask
// again: what is replaced there is taken up without a restart.
type SASL struct {
	Mechanism Mechanism
	// User and its Password, or the file that has nothing else in it, for all mechanisms but
	// OAuthBearer.
	User         string
	Password     Secret
	PasswordFile string
	// Token, or the file that holds it, for OAuthBearer. Token must be safe for concurrent use.
	Token     func(context.Context) (Secret, error) `json:"-"`
	TokenFile string
}

// Validate returns every problem, joined. It reads the files.
func (s *Security) Validate() error {
	var errs []error
	if s.TLS != nil {
		errs = append(errs, s.TLS.validate())
	}
	if s.SASL != nil {
		errs = append(errs, s.SASL.validate())
	}
	return errors.Join(errs...)
}

// Warnings are what works and should not be so.
func (s *Security) Warnings() []string {
	var warnings []string
	if s.TLS != nil && s.TLS.InsecureBecause != "" {
		warnings = append(warnings, "TLS: brokers' certificates are not checked: "+s.TLS.InsecureBecause)
	}
	if s.SASL != nil && s.TLS == nil && (s.SASL.Mechanism == Plain || s.SASL.Mechanism == OAuthBearer) {
		warnings = append(warnings,
			fmt.Sprintf("SASL: %s without TLS sends the secret for everybody on the way to read", s.SASL.Mechanism))
	}
	return warnings
}

func (t *TLS) validate() error {
	_, err := t.roots()
	switch {
	case (t.CertFile == "") != (t.KeyFile == ""):
		err = errors.Join(err, errors.New("TLS: CertFile and KeyFile: set both, or none"))
	case t.CertFile != "":
		if _, e := t.certificate(nil); e != nil {
			err = errors.Join(err, e)
		}
	}
	return err
}

// roots is who is trusted; nil is the machine's own.
func (t *TLS) roots() (*x509.CertPool, error) {
	if t.CAFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(t.CAFile)
	if err != nil {
		return nil, fmt.Errorf("TLS: CAFile: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("TLS: CAFile: %s has no certificate in PEM (-----BEGIN CERTIFICATE-----)", t.CAFile)
	}
	return pool, nil
}

func (t *TLS) certificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("TLS: CertFile %s and KeyFile %s: %w", t.CertFile, t.KeyFile, err)
	}
	return &c, nil
}

// Config is t for clients of other servers, such as a schema registry.
func (t *TLS) Config() (*tls.Config, error) {
	roots, err := t.roots()
	if err != nil {
		return nil, err
	}
	c := &tls.Config{RootCAs: roots, ServerName: t.ServerName, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: t.InsecureBecause != ""}
	if t.CertFile != "" {
		c.GetClientCertificate = t.certificate
	}
	return c, nil
}

func (s *SASL) validate() error {
	if !slices.Contains(Mechanisms(), s.Mechanism) {
		return fmt.Errorf("SASL: a Mechanism of %q is none: there are %v", s.Mechanism, Mechanisms())
	}
	var errs []error
	bearer := s.Mechanism == OAuthBearer
	password := !s.Password.IsZero() || s.PasswordFile != ""
	token := s.Token != nil || s.TokenFile != ""
	switch {
	case bearer && !token:
		errs = append(errs, errors.New("SASL: OAUTHBEARER needs Token or TokenFile"))
	case bearer && (password || s.User != ""):
		errs = append(errs, errors.New("SASL: OAUTHBEARER has no User or Password: the token says who it is"))
	case !bearer && token:
		errs = append(errs, fmt.Errorf("SASL: %s takes no token: that is for OAUTHBEARER", s.Mechanism))
	}
	if !bearer && (s.User == "" || !password) {
		errs = append(errs, fmt.Errorf("SASL: %s needs User, and Password or PasswordFile", s.Mechanism))
	}
	if !s.Password.IsZero() && s.PasswordFile != "" {
		errs = append(errs, errors.New("SASL: Password and PasswordFile: set one"))
	}
	if s.Token != nil && s.TokenFile != "" {
		errs = append(errs, errors.New("SASL: Token and TokenFile: set one"))
	}
	for _, f := range []struct{ key, name string }{{"PasswordFile", s.PasswordFile}, {"TokenFile", s.TokenFile}} {
		if _, err := fromFile(f.key, f.name); f.name != "" && err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// fromFile names the field that a secret comes from in its error.
func fromFile(key, name string) (string, error) {
	secret, err := ReadSecret(name)
	if err != nil {
		return "", fmt.Errorf("SASL: %s: %w", key, err)
	}
	return secret.Reveal(), nil
}

func (s *SASL) password() (string, error) {
	if s.PasswordFile == "" {
		return s.Password.Reveal(), nil
	}
	return fromFile("PasswordFile", s.PasswordFile)
}

func (s *SASL) token(ctx context.Context) (string, error) {
	if s.Token == nil {
		return fromFile("TokenFile", s.TokenFile)
	}
	t, err := s.Token(ctx)
	if err != nil {
		return "", fmt.Errorf("SASL: Token: %w", err)
	}
	return t.Reveal(), nil
}

func (s *SASL) mechanism() sasl.Mechanism {
	secret := func(context.Context) (scram.Auth, error) {
		pass, err := s.password()
		return scram.Auth{User: s.User, Pass: pass}, err
	}
	switch s.Mechanism {
	case ScramSHA256:
		return scram.Sha256(secret)
	case ScramSHA512:
		return scram.Sha512(secret)
	case OAuthBearer:
		return oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
			token, err := s.token(ctx)
			return oauth.Auth{Token: token}, err
		})
	default:
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			pass, err := s.password()
			return plain.Auth{User: s.User, Pass: pass}, err
		})
	}
}

// options are what franz-go is told. It takes a dialer or TLS, not both: here TLS is put on top of
// whatever dials.
func (s *Security) options(dial func(ctx context.Context, network, addr string) (net.Conn, error)) ([]kgo.Opt, error) {
	var opts []kgo.Opt
	if s.SASL != nil {
		opts = append(opts, kgo.SASL(s.SASL.mechanism()))
	}
	if s.TLS == nil {
		if dial != nil {
			opts = append(opts, kgo.Dialer(dial))
		}
		return opts, nil
	}
	config, err := s.TLS.Config()
	if err != nil {
		return nil, err
	}
	if dial == nil {
		return append(opts, kgo.DialTLSConfig(config)), nil
	}
	return append(opts, kgo.Dialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
		return encrypted(ctx, dial, config, network, addr)
	})), nil
}

func encrypted(ctx context.Context, dial func(ctx context.Context, network, addr string) (net.Conn, error),
	config *tls.Config, network, addr string) (net.Conn, error) {
	plain, err := dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, errors.Join(err, plain.Close())
		}
		config = config.Clone()
		config.ServerName = host
	}
	conn := tls.Client(plain, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	return conn, nil
}
