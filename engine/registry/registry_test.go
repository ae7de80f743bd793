package registry

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/registry/registrytest"
	"github.com/ashi-stream/ashi/topology"
)

var (
	one = avroOf(`{"name":"id","type":"string"},{"name":"n","type":"int"}`)
	two = avroOf(
		`{"name":"id","type":"string"},{"name":"n","type":"long"},{"name":"new","type":["null","string"],"default":null}`)
	bad = avroOf(`{"name":"id","type":"string"},{"name":"n","type":"string"},{"name":"must","type":"long"}`)
)

func avroOf(fields string) topology.Schema {
	return topology.Schema{Format: topology.AvroSchema, Text: `{"type":"record","name":"r","fields":[` + fields + `]}`}
}

func open(t *testing.T, r *registrytest.Registry, change ...func(*Config)) *Registry {
	cfg := Config{URLs: []string{r.URL}, Patience: 50 * time.Millisecond}
	for _, f := range change {
		f(&cfg)
	}
	c, err := New(cfg)
	require.NoError(t, err)
	return c
}

func TestRegister(t *testing.T) {
	r := registrytest.Start(t)
	c := open(t, r)
	first, err := c.Register(t.Context(), "rates-value", one)
	require.NoError(t, err)
	second, err := c.Register(t.Context(), "rates-value", two)
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	asked := r.Requests()
	again, err := c.Register(t.Context(), "rates-value", one)
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.Equal(t, asked, r.Requests(), "what is known is not asked for")

	other := open(t, r)
	for range 2 {
		got, err := other.Schema(t.Context(), second)
		require.NoError(t, err)
		require.Equal(t, two, got)
	}
	require.Equal(t, asked+1, r.Requests())
	latest, version := r.Latest("rates-value")
	require.Equal(t, two, latest)
	require.Equal(t, 2, version)
	for _, s := range []topology.Schema{{Format: topology.JSONSchema, Text: `{"type":"object"}`},
		{Format: topology.ProtobufSchema, Text: `syntax = "proto3";`}} {
		id, err := c.Register(t.Context(), string(s.Format), s)
		require.NoError(t, err)
		got, err := other.Schema(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, s, got)
	}
	_, err = c.Register(t.Context(), "x", topology.Schema{Format: "XML"})
	require.ErrorContains(t, err, `format "XML"`)
}

func TestIncompatible(t *testing.T) {
	r := registrytest.Start(t)
	c := open(t, r)
	_, err := c.Register(t.Context(), "rates-value", one)
	require.NoError(t, err)
	_, err = c.Register(t.Context(), "rates-value", bad)
	require.Error(t, err)
	require.NotErrorIs(t, err, topology.ErrUnavailable)
	for _, want := range []string{
		"registry: subject rates-value: the schema is not compatible with what is registered (the subject's rule is " +
			"BACKWARD)",
		`the registry says: schema being registered is incompatible with an earlier schema for subject "rates-value"`,
		`against version 1: column must is new: "long" without default`,
		`against version 1: column n was "int" without default, and is "string" without default`,
		"BACKWARD: new readers must read old records",
		"else write to another topic or subject",
	} {
		require.ErrorContains(t, err, want)
	}
	r.Rule("rates-value", "NONE")
	_, err = c.Register(t.Context(), "rates-value", bad)
	require.NoError(t, err)
}

func TestLookupOnly(t *testing.T) {
	r := registrytest.Start(t)
	c := open(t, r, func(cfg *Config) { cfg.LookupOnly = true })
	_, err := c.Register(t.Context(), "rates-value", one)
	require.ErrorContains(t, err, "registration is switched off (LookupOnly)")
	require.ErrorContains(t, err,
		`curl -X POST -H 'Content-Type: application/vnd.schemaregistry.v1+json' --data '{"schema":"{\"type\":\"record\"`)
	require.ErrorContains(t, err, r.URL+"/subjects/rates-value/versions'")
	_, version := r.Latest("rates-value")
	require.Zero(t, version)
	id := r.Register("rates-value", one)
	got, err := c.Register(t.Context(), "rates-value", one)
	require.NoError(t, err)
	require.Equal(t, id, got)
}

func TestUnavailable(t *testing.T) {
	r := registrytest.Start(t)
	c := open(t, r)
	id, err := c.Register(t.Context(), "rates-value", one)
	require.NoError(t, err)
	_, err = c.Schema(t.Context(), id)
	require.NoError(t, err)
	r.Down(true)
	_, err = c.Schema(t.Context(), id)
	require.NoError(t, err, "an id that is known goes on")
	before := r.Requests()
	_, err = c.Schema(t.Context(), id+1)
	require.ErrorIs(t, err, topology.ErrUnavailable)
	_, err = c.Register(t.Context(), "rates-value", two)
	require.ErrorIs(t, err, topology.ErrUnavailable)
	require.GreaterOrEqual(t, r.Requests(), before+2)
	r.Down(false)
	second, err := c.Register(t.Context(), "rates-value", two)
	require.NoError(t, err)
	got, err := c.Schema(t.Context(), second)
	require.NoError(t, err, "that it was down is not remembered")
	require.Equal(t, two, got)

	gone, err := New(Config{URLs: []string{"http://127.0.0.1:1"}, Patience: time.Millisecond})
	require.NoError(t, err)
	_, err = gone.Schema(t.Context(), 1)
	require.ErrorIs(t, err, topology.ErrUnavailable)
}

func TestUnknownIDs(t *testing.T) {
	r := registrytest.Start(t)
	c := open(t, r)
	for range 3 {
		_, err := c.Schema(t.Context(), 99)
		require.ErrorContains(t, err, "there is no schema 99")
		require.NotErrorIs(t, err, topology.ErrUnavailable)
	}
	require.Equal(t, 1, r.Requests())
	c.mu.Lock()
	c.refused[99] = refused{io.EOF, time.Now().Add(-refusedFor)}
	for id := 100; len(c.refused) < maxRefused; id++ {
		c.refused[id] = refused{io.EOF, time.Now()}
	}
	c.mu.Unlock()
	_, err := c.Schema(t.Context(), 99)
	require.Error(t, err)
	require.Equal(t, 2, r.Requests())
	require.Len(t, c.refused, 1)
}

// Tasks that meet an id at one time ask once.
func TestAskedOnce(t *testing.T) {
	r := registrytest.Start(t)
	id := r.Register("a", one)
	c := open(t, r)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			got, err := c.Schema(t.Context(), id)
			assert.NoError(t, err)
			assert.Equal(t, one, got)
		})
	}
	wait.Wait()
	require.Equal(t, 1, r.Requests())
}

func TestAuthorization(t *testing.T) {
	r := registrytest.Start(t)
	for header, change := range map[string]func(*Config){
		"Bearer hush":        func(c *Config) { c.Token = kafka.NewSecret("hush") },
		"Basic YXNoaTpodXNo": func(c *Config) { c.Username, c.Password = "ashi", kafka.NewSecret("hush") },
	} {
		r.Authorization(header)
		c := open(t, r, change)
		_, err := c.Register(t.Context(), "a", one)
		require.NoError(t, err)
		r.Authorization("other")
		_, err = c.Register(t.Context(), "b", one)
		require.ErrorContains(t, err, "subject b: not allowed (status 401)")
		require.NotErrorIs(t, err, topology.ErrUnavailable)
		for _, printed := range []string{err.Error(), fmt.Sprintf("%+v", c.cfg), fmt.Sprintf("%#v", c.cfg)} {
			require.NotContains(t, printed, "hush")
		}
	}
}

// Files of secrets are read for each request: one that is replaced counts at once, and one that is
// gone is waited for.
func TestSecretsInFiles(t *testing.T) {
	r := registrytest.Start(t)
	file := filepath.Join(t.TempDir(), "secret")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	for scheme, change := range map[string]func(*Config){
		"Bearer ": func(c *Config) { c.TokenFile = file },
		"Basic ":  func(c *Config) { c.Username, c.PasswordFile = "ashi", file },
	} {
		header := func(secret string) string {
			if scheme == "Basic " {
				secret = base64.StdEncoding.EncodeToString([]byte("ashi:" + secret))
			}
			return scheme + secret
		}
		write("first\n")
		r.Authorization(header("first"))
		c := open(t, r, change, func(c *Config) { c.Patience = 500 * time.Millisecond })
		_, err := c.Register(t.Context(), scheme+"a", one)
		require.NoError(t, err)
		write(" second")
		r.Authorization(header("second"))
		_, err = c.Register(t.Context(), scheme+"b", one)
		require.NoError(t, err)
		require.NoError(t, os.Remove(file))
		_, err = c.Register(t.Context(), scheme+"c", one)
		require.ErrorIs(t, err, os.ErrNotExist)
		require.ErrorIs(t, err, topology.ErrUnavailable)
	}
}

func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_,
			_ = w.Write([]byte(`{"id":5}`))
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	c, err := New(Config{URLs: []string{server.URL}, TLS: &tls.Config{RootCAs: pool}})
	require.NoError(t, err)
	id, err := c.Register(t.Context(), "a", one)
	require.NoError(t, err)
	require.Equal(t, 5, id)
	strict, err := New(Config{URLs: []string{server.URL}, Patience: 300 * time.Millisecond})
	require.NoError(t, err)
	_, err = strict.Register(t.Context(), "a", one)
	require.ErrorContains(t, err, "certificate")
}

func TestConfigMistakes(t *testing.T) {
	_, err := New(Config{URLs: []string{"registry:8081", "http://u:hush@host", "http://u:hush@ho st"},
		Password: kafka.NewSecret("hush"), Timeout: -1, Patience: -1})
	for _, want := range []string{`"registry:8081": want http://`, "go into Username and Password",
		"a URL that cannot be read", "a Password without a Username", "a Timeout of", "a Patience of"} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "hush")
	_, err = New(Config{Username: "a", Token: kafka.NewSecret("hush")})
	require.ErrorContains(t, err, "no URLs")
	require.ErrorContains(t, err, "a Token beside a Username")
	_, err = New(Config{URLs: []string{"http://a"}, Username: "a", Password: kafka.NewSecret("hush"),
		PasswordFile: "no/such", Token: kafka.NewSecret("hush"), TokenFile: "none/such"})
	for _, want := range []string{"a Password beside a PasswordFile", "a Token beside a TokenFile",
		"PasswordFile: open no/such", "TokenFile: open none/such"} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "hush")
}
