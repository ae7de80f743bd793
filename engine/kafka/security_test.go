package kafka_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

const password = "hunter2-is-secret"

func asks(t *testing.T, cfg kafka.Config) error {
	t.Helper()
	a, err := kafka.NewAdmin(cfg)
	if err != nil {
		return err
	}
	defer a.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err = a.Partitions(ctx, "t")
	return err
}

func TestMechanisms(t *testing.T) {
	t.Parallel()
	for _, m := range []kafka.Mechanism{kafka.Plain, kafka.ScramSHA256, kafka.ScramSHA512} {
		fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser(string(m), "fx",
			password))
		require.NoError(t, err)
		defer fake.Close()
		file := filepath.Join(t.TempDir(), "password")
		require.NoError(t, os.WriteFile(file, []byte(password+"\n"), 0o600))
		cfg := func(s kafka.SASL) kafka.Config {
			s.Mechanism, s.User = m, "fx"
			return kafka.Config{Brokers: fake.ListenAddrs(), Security: kafka.Security{SASL: &s}}
		}
		require.NoError(t, asks(t, cfg(kafka.SASL{Password: kafka.NewSecret(password)})), m)
		require.NoError(t, asks(t, cfg(kafka.SASL{PasswordFile: file})), m)
		require.Error(t, asks(t, cfg(kafka.SASL{Password: kafka.NewSecret("wrong")})),
			"%s; the fake hangs up, a real one says why: TestSecured", m)
	}
}

// A password that is changed in its file is taken up by new connections.
func TestRotatedPassword(t *testing.T) {
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser("PLAIN", "fx", password))
	require.NoError(t, err)
	defer fake.Close()
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("the one of yesterday"), 0o600))
	a, err := kafka.NewAdmin(kafka.Config{Brokers: fake.ListenAddrs(),
		Security: kafka.Security{SASL: &kafka.SASL{Mechanism: kafka.Plain, User: "fx", PasswordFile: file}}})
	require.NoError(t, err)
	defer a.Close()
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = a.Partitions(short, "t")
	require.Error(t, err)
	require.NoError(t, os.WriteFile(file, []byte(password), 0o600))
	_, err = a.Partitions(t.Context(), "t")
	require.NoError(t, err)
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ca, stranger := kafkatest.NewAuthority(t), kafkatest.NewAuthority(t)
	brokerCert, brokerKey := ca.Issue(t, "broker")
	cert, key := ca.Issue(t, "client")
	pair, err := tls.LoadX509KeyPair(brokerCert, brokerKey)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	text, err := os.ReadFile(ca.File)
	require.NoError(t, err)
	require.True(t, pool.AppendCertsFromPEM(text))
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair},
		ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}))
	require.NoError(t, err)
	defer fake.Close()
	try := func(s *kafka.TLS) error {
		return asks(t, kafka.Config{Brokers: fake.ListenAddrs(), Security: kafka.Security{TLS: s}})
	}
	require.NoError(t, try(&kafka.TLS{CAFile: ca.File, CertFile: cert, KeyFile: key}))
	require.NoError(t, try(&kafka.TLS{InsecureBecause: "a test", CertFile: cert, KeyFile: key}))
	require.ErrorContains(t, try(&kafka.TLS{CAFile: stranger.File, CertFile: cert, KeyFile: key}),
		"certificate signed by unknown authority")
	require.ErrorContains(t, try(&kafka.TLS{CAFile: ca.File, ServerName: "kafka.example", CertFile: cert,
		KeyFile: key}), "kafka.example")
	require.ErrorContains(t, try(&kafka.TLS{CAFile: ca.File}), "certificate required")
	require.ErrorContains(t, try(nil), "is TLS missing?")

	dialed := atomic.Int32{}
	cfg := kafka.Config{Brokers: fake.ListenAddrs(),
		Security: kafka.Security{TLS: &kafka.TLS{CAFile: ca.File, CertFile: cert, KeyFile: key}}}
	cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialed.Add(1)
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	require.NoError(t, asks(t, cfg))
	require.Positive(t, dialed.Load(), "TLS goes over whatever dials")
}

func TestSecurityMistakes(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, []byte(" \n"), 0o600))
	secret := kafka.NewSecret("x")
	for want, s := range map[string]kafka.Security{
		"no certificate in PEM":          {TLS: &kafka.TLS{CAFile: empty}},
		"CAFile: open nowhere":           {TLS: &kafka.TLS{CAFile: "nowhere"}},
		"set both, or none":              {TLS: &kafka.TLS{CertFile: "x.pem"}},
		"KeyFile y: open x":              {TLS: &kafka.TLS{CertFile: "x", KeyFile: "y"}},
		`a Mechanism of "SCRAM" is none`: {SASL: &kafka.SASL{Mechanism: "SCRAM"}},
		"needs User, and Password":       {SASL: &kafka.SASL{Mechanism: kafka.ScramSHA256, User: "u"}},
		"Password and PasswordFile: set one": {SASL: &kafka.SASL{Mechanism: kafka.Plain, User: "u", Password: secret,
			PasswordFile: empty}},
		"empty is empty":             {SASL: &kafka.SASL{Mechanism: kafka.Plain, User: "u", PasswordFile: empty}},
		"OAUTHBEARER needs Token or": {SASL: &kafka.SASL{Mechanism: kafka.OAuthBearer}},
		"OAUTHBEARER has no User":    {SASL: &kafka.SASL{Mechanism: kafka.OAuthBearer, TokenFile: empty, User: "u"}},
		"that is for OAUTHBEARER": {SASL: &kafka.SASL{Mechanism: kafka.Plain, User: "u", Password: secret,
			TokenFile: empty}},
	} {
		require.ErrorContains(t, s.Validate(), want)
	}
	_, err := kafka.NewAdmin(kafka.Config{Brokers: []string{"127.0.0.1:1"}, Client: kafka.Client{Compression: "zip",
		DialTimeout: -1, BatchBytes: 1}})
	for _, want := range []string{`a Compression of "zip"`, "a DialTimeout of -1ns", "a BatchBytes of 1"} {
		require.ErrorContains(t, err, want)
	}
	require.NoError(t, (&kafka.Security{TLS: &kafka.TLS{}}).Validate())
	require.Len(t, (&kafka.Security{TLS: &kafka.TLS{InsecureBecause: "a test"},
		SASL: &kafka.SASL{Mechanism: kafka.Plain}}).Warnings(), 1)
	require.Len(t, (&kafka.Security{SASL: &kafka.SASL{Mechanism: kafka.Plain}}).Warnings(), 1)
}

// Whatever prints a configuration, or what holds one in an unexported field, does not print its
// secrets.
func TestSecretsAreNotPrinted(t *testing.T) {
	type holder struct{ cfg kafka.Config }
	cfg := kafka.Config{Brokers: []string{"b:1"}, Security: kafka.Security{SASL: &kafka.SASL{Mechanism: kafka.Plain,
		User: "fx", Password: kafka.NewSecret(password)}}}
	h := holder{cfg}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%X"} {
		fmt.Fprintf(&out, verb+"\n", cfg)
		fmt.Fprintf(&out, verb+"\n", *cfg.Security.SASL)
		fmt.Fprintf(&out, verb+"\n", h)
		fmt.Fprintf(&out, verb+"\n", &h)
		fmt.Fprintf(&out, verb+"\n", cfg.Security.SASL.Password)
	}
	text, err := json.Marshal(cfg.Security)
	require.NoError(t, err)
	require.Contains(t, string(text), "***")
	out.Write(text)
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		log := slog.New(h)
		log.Info("x", "secret", cfg.Security.SASL.Password, "security", cfg.Security, "sasl", *cfg.Security.SASL)
	}
	require.NotContains(t, out.String(), password)
	require.NotContains(t, out.String(), fmt.Sprintf("%x", password))
	require.Contains(t, out.String(), "***")
	require.Equal(t, password, cfg.Security.SASL.Password.Reveal())
	require.Empty(t, kafka.Secret{}.String(), "that there is none may be seen")
}

func TestGrantCommands(t *testing.T) {
	acls := []kafka.ACL{
		{Resource: kafka.Topic, Name: "rates", Operation: kafka.Write}, {Resource: kafka.Topic, Name: "rates",
			Operation: kafka.Read},
		{Resource: kafka.GroupID, Name: "it's", Operation: kafka.Read},
		{Resource: kafka.TransactionalID, Name: "fx-", Prefix: true, Operation: kafka.Write},
		{Resource: kafka.Cluster, Operation: kafka.IdempotentWrite},
	}
	require.Equal(t, []string{
		`kafka-acls.sh --bootstrap-server a:1,b:2 --command-config admin.properties --add --allow-principal 'User:CN=fx O' --operation IdempotentWrite --cluster`,
		`kafka-acls.sh --bootstrap-server a:1,b:2 --command-config admin.properties --add --allow-principal 'User:CN=fx O' --operation Read --group 'it'\''s'`,
		`kafka-acls.sh --bootstrap-server a:1,b:2 --command-config admin.properties --add --allow-principal 'User:CN=fx O' --operation Read --operation Write --topic rates`,
		`kafka-acls.sh --bootstrap-server a:1,b:2 --command-config admin.properties --add --allow-principal 'User:CN=fx O' --operation Write --transactional-id fx- --resource-pattern-type prefixed`,
	}, kafka.GrantCommands([]string{"a:1", "b:2"}, "User:CN=fx O", acls))
}

// An error of access control names what the plan needs, not only what one request happened to ask
// for.
func TestAdvise(t *testing.T) {
	need := kafka.ACL{Resource: kafka.Topic, Name: "rates", Operation: kafka.Read}
	cfg := kafka.Config{Brokers: []string{"b:1"}, Needs: []kafka.ACL{need, {Resource: kafka.Topic, Name: "other",
		Operation: kafka.Read}},
		Security: kafka.Security{SASL: &kafka.SASL{User: "fx"}}}
	asked := kafka.ACL{Resource: kafka.Topic, Name: "rates", Operation: kafka.Describe}
	err := cfg.Advise(fmt.Errorf("look: %w", kerr.TopicAuthorizationFailed), asked)
	require.ErrorIs(t, err, kafka.ErrDenied)
	require.ErrorIs(t, err, kerr.TopicAuthorizationFailed)
	require.ErrorContains(t, err, "this needs Read on topic rates, which is not granted")
	require.ErrorContains(t, err, "--allow-principal User:fx --operation Read --topic rates")
	require.Equal(t, err, cfg.Advise(err, asked), "advice is given once")
	cfg.Needs = nil
	require.ErrorContains(t, cfg.Advise(kerr.TopicAuthorizationFailed, asked), "this needs Describe on topic rates")
	other := errors.New("other")
	require.Equal(t, other, cfg.Advise(other, asked))
	require.NoError(t, cfg.Advise(nil, asked))
}
