package config_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/config"
	"github.com/ashi-stream/ashi/engine/registry"
	"github.com/ashi-stream/ashi/topology"
)

func written(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// Every key of the section, and the same from the environment (SR-1).
func TestRegistry(t *testing.T) {
	secret := written(t, "password", password+"\n")
	file := written(t, "fx.yaml", `
messaging: {brokers: [k:9092]}
registry:
  urls: [https://registry-1:8081, "https://registry-2"]
  user: fx
  passwordFile: `+secret+`
  timeout: 1s
  patience: 1m
  register: false
`)
	got, err := config.Registry(file, config.Options{Environ: []string{}})
	require.NoError(t, err)
	want := registry.Config{URLs: []string{"https://registry-1:8081", "https://registry-2"}, Username: "fx",
		PasswordFile: secret, Timeout: time.Second, Patience: time.Minute, LookupOnly: true}
	require.Equal(t, want, got)

	variables := []string{"ASHI_MESSAGING_BROKERS=k:9092",
		"ASHI_REGISTRY_URLS=https://registry-1:8081, https://registry-2", "ASHI_REGISTRY_USER=fx",
		"ASHI_REGISTRY_PASSWORD=" + password, "ASHI_REGISTRY_TIMEOUT=1s", "ASHI_REGISTRY_PATIENCE=1m",
		"ASHI_REGISTRY_REGISTER=false"}
	got, err = config.Registry("", config.Options{Environ: variables})
	require.NoError(t, err)
	require.Equal(t, password, got.Password.Reveal())
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", got, got, got), password)
	got.Password, want.PasswordFile = want.Password, ""
	require.Equal(t, want, got)

	got, err = config.Registry(file, config.Options{Environ: []string{"ASHI_REGISTRY_URLS=https://other",
		"ASHI_REGISTRY_REGISTER=true"}})
	require.NoError(t, err)
	require.Equal(t, []string{"https://other"}, got.URLs)
	require.False(t, got.LookupOnly)
}

// A program without codecs in a registry needs none; for one that asks, its absence is one problem
// among the others.
func TestNoRegistry(t *testing.T) {
	file := written(t, "fx.yaml", "messaging: {brokers: [k:9092]}\n")
	_, err := config.Load(file, config.Options{Environ: []string{}, Output: io.Discard})
	require.NoError(t, err)
	_, err = config.Registry(file, config.Options{Environ: []string{}})
	require.ErrorIs(t, err, config.ErrInvalid)
	require.EqualError(t, err, "config: 1 problem:\n  "+file+
		": registry.urls: is missing: give the address of the schema registry, or set ASHI_REGISTRY_URLS")

	_, err = config.Registry("", config.Options{Environ: []string{"ASHI_REGISTRY_URLS=fx:" + password + "@registry"}})
	require.ErrorContains(t, err, "ASHI_REGISTRY_URLS: registry.urls: its value does not fit; wanted: URL")
	require.ErrorContains(t, err, "messaging.brokers: is missing", "the whole configuration is checked")
	require.NotContains(t, err.Error(), password)
}

// What the section says is what the client does: whom it trusts, and who it says that it is.
func TestRegistryIsReached(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, pass, _ := r.BasicAuth(); user != "fx" || pass != password {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(`{"id":5}`))
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	ca := written(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE",
		Bytes: server.Certificate().Raw})))
	ask := func(tls string) error {
		file := written(t, "fx.yaml", "messaging: {brokers: [k:9092]}\nregistry:\n  urls: ["+server.URL+
			"]\n  user: fx\n  password: ${FX_PASSWORD}\n"+tls)
		cfg, err := config.Registry(file, config.Options{Environ: environ})
		require.NoError(t, err)
		schemas, err := registry.New(cfg)
		require.NoError(t, err)
		id, err := schemas.Register(t.Context(), "rates-value", topology.Schema{Format: topology.AvroSchema,
			Text: `"string"`})
		require.Equal(t, err == nil, id == 5)
		return err
	}
	require.NoError(t, ask("  tls: {caFile: "+ca+"}\n"))
	require.NoError(t, ask("  tls: {insecureBecause: a test}\n"))
	var unknown x509.UnknownAuthorityError
	require.ErrorAs(t, ask("  patience: 300ms\n"), &unknown)
}

// What works and should not be so is logged by Load, once.
func TestRegistryWarnings(t *testing.T) {
	for text, want := range map[string]string{
		"urls: [https://r], user: fx, password: hush": "",
		"urls: [http://r]":                            "",
		"urls: [https://r], tls: {insecureBecause: a test}": "the registry's certificate is not checked: " +
			"a test",
		"urls: [http://r], token: hush":                               "over http",
		"urls: [https://r, http://r], user: fx, password: hush":       "over http",
		"urls: [http://r], tokenFile: testdata/not-a-certificate.txt": "over http",
	} {
		var out bytes.Buffer
		o := config.Options{Environ: []string{}, Output: &out}
		file := written(t, "fx.yaml", "messaging: {brokers: [k:9092]}\nregistry: {"+text+"}\n")
		_, err := config.Registry(file, o)
		require.NoError(t, err)
		require.Empty(t, out.String())
		_, err = config.Load(file, o)
		require.NoError(t, err)
		if want == "" {
			require.Empty(t, out.String(), text)
		} else {
			require.Contains(t, out.String(), want)
		}
		require.NotContains(t, out.String(), "hush")
	}
}
