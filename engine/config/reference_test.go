package config

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/registry"
)

const (
	referenceFile = "../../docs/configuration.md"
	begins        = "<!-- From here on written by the tests of engine/config, from its schema: go test ./engine/config -run Reference -update -->\n"
)

// The reference says what the code does.
func TestReference(t *testing.T) {
	text, err := os.ReadFile(referenceFile)
	require.NoError(t, err)
	head, have, ok := strings.Cut(string(text), begins)
	require.True(t, ok, "%s lacks the line after which the reference begins", referenceFile)
	want := reference()
	if flag.Lookup("update").Value.String() == "true" {
		require.NoError(t, os.WriteFile(referenceFile, []byte(head+begins+want), 0o644))
		return
	}
	require.Equal(t, want, have, "go test ./engine/config -run Reference -update")
}

func reference() string {
	var b strings.Builder
	writeSection(&b, reflect.TypeFor[document](), "", "")
	return b.String()
}

// writeSection writes a table of the keys with values, and then the sections below it.
func writeSection(b *strings.Builder, t reflect.Type, path, doc string) {
	if path != "" {
		fmt.Fprintf(b, "\n## %s\n\n%s\n", path, doc)
	}
	fmt.Fprint(b, "\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n")
	for i := range t.NumField() {
		f := t.Field(i)
		if inner := sectionOf(f.Type); inner == nil {
			fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", f.Tag.Get("key"), typeName(f.Type, f.Tag),
				f.Tag.Get("default"), f.Tag.Get("doc"))
		}
	}
	for i := range t.NumField() {
		f := t.Field(i)
		inner := sectionOf(f.Type)
		if inner == nil {
			continue
		}
		key := join(path, f.Tag.Get("key"))
		if f.Type.Kind() == reflect.Map {
			key += ".NAME"
		}
		writeSection(b, inner, key, f.Tag.Get("doc"))
	}
}

// sectionOf is the section that a field is, or that a map has for each name; nil for values.
func sectionOf(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if isSection(t) {
		return t
	}
	return nil
}

func TestEveryKeyIsDocumented(t *testing.T) {
	for _, l := range leaves() {
		require.NotEmpty(t, l.tag.Get("doc"), l.path)
		require.NotEmpty(t, typeName(l.typ, l.tag), l.path)
	}
	require.Equal(t, "ASHI_MESSAGING_SASL_PASSWORD_FILE", variableOf("messaging.sasl.passwordFile"))
	require.Equal(t, "ASHI_MESSAGING_TLS_CA_FILE", variableOf("messaging.tls.caFile"))
}

// The defaults in the reference are the engine's and the clients' own.
func TestDefaultsAreTheEngines(t *testing.T) {
	doc := new(document)
	free := map[string]bool{"core.stateDir": true, "core.statusAddr": true, "messaging.brokers": true,
		"messaging.clientId":   true,
		"messaging.instanceId": true, "topics.replication": true,
		"tables.memory": true, "tables.default.cache": true, "messaging.tls.caFile": true,
		"messaging.tls.serverName": true,
		"messaging.sasl.mechanism": true, "registry.urls": true,
		"registry.tls.caFile": true, "registry.tls.serverName": true}
	for _, l := range leaves() {
		text := l.tag.Get("default")
		if text == "" || free[l.path] {
			continue
		}
		require.NoError(t, set(l.in(doc), l.tag, text), l.path)
	}
	cfg := doc.engine(os.Stderr)
	want := engine.Config{}.WithDefaults()
	want.SessionTimeout = kafka.DefaultSessionTimeout
	want.Log, want.Replication, want.Topics.Of, want.Tables.Of = cfg.Log, 0, cfg.Topics.Of, cfg.Tables.Of
	want.Client = kafka.Client{DialTimeout: 10 * time.Second, RequestTimeout: 10 * time.Second,
		IdleTimeout:    30 * time.Second,
		MetadataMaxAge: 5 * time.Minute,
		Compression:    kafka.NoCompression, BatchBytes: 1000012} // of franz-go
	want.Tables.Default = engine.TableSettings{Compression: engine.CompressionOn, Retention: 168 * time.Hour}
	require.Equal(t, want.Client, cfg.Client)
	want.Security, cfg.Security = kafka.Security{}, kafka.Security{}
	require.Equal(t, want, cfg)
	require.Equal(t, &registrySection{Timeout: registry.DefaultTimeout, Patience: registry.DefaultPatience,
		Register: doc.Registry.Register}, doc.Registry)
	require.True(t, *doc.Registry.Register)
}
