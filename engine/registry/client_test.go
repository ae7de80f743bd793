package registry

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/registry/registrytest"
	"github.com/ashi-stream/ashi/topology"
)

// answers is a registry that answers with f, and how often it was asked. The test must not take as
// long as the patience of its client.
func answers(t *testing.T, f http.HandlerFunc, change ...func(*Config)) (*Registry, *atomic.Int64) {
	asked := new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked.Add(1)
		f(w, req)
	}))
	t.Cleanup(server.Close)
	cfg := Config{URLs: []string{server.URL}, Timeout: time.Minute, Patience: 10 * time.Minute}
	for _, c := range change {
		c(&cfg)
	}
	r, err := New(cfg)
	require.NoError(t, err)
	return r, asked
}

// An answer that is no schema is an answer: an error of the record at once, and remembered.
func TestAnswersThatAreNoSchema(t *testing.T) {
	page := strings.Repeat("<p>ä</p>", 100000)
	for what, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"garbage":   {text(200, "garbage"), "the answer cannot be read: invalid character"},
		"nothing":   {text(200, ""), "the answer cannot be read"},
		"no object": {text(200, `[]`), "the answer cannot be read"},
		"no schema": {text(200, `{}`), "it has no schema"},
		"null":      {text(200, `null`), "it has no schema"},
		"other type": {text(200, `{"schemaType":"WEIRD","schema":"x"}`),
			`the answer cannot be read: unknown schema type "WEIRD"`},
		"long type": {text(200, `{"schemaType":"`+page+`","schema":"x"}`),
			"the answer cannot be read: unknown schema type"},
		"not allowed": {text(403, `{"error_code":40301,"message":"no"}`), "schema 5: no"},
		"page":        {text(400, page), "<p>"},
		"message":     {text(422, `{"error_code":42201,"message":"`+page+`"}`), "<p>"},
		"not found":   {text(404, page), "there is no schema 5"},
		"redirect":    {text(http.StatusFound, ""), "schema 5"},
		"loop": {func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, req.URL.Path,
				http.StatusFound)
		}, "redirects more than 3 times"},
		"too large": {func(w http.ResponseWriter, _ *http.Request) {
			line := bytes.Repeat([]byte("a"), 1<<20)
			for range 100 {
				if _, err := w.Write(line); err != nil {
					return
				}
			}
		}, "larger than 8 MiB"},
		"huge header": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", page) }, ""},
	} {
		t.Run(what, func(t *testing.T) {
			patience := func(*Config) {}
			if c.want == "" { // HTTP itself was broken: that is no answer
				patience = func(cfg *Config) { cfg.Patience = 50 * time.Millisecond }
			}
			r, asked := answers(t, c.answer, patience)
			_, err := r.Schema(t.Context(), 5)
			if c.want == "" {
				require.ErrorIs(t, err, topology.ErrUnavailable)
				return
			}
			require.ErrorContains(t, err, c.want)
			require.NotErrorIs(t, err, topology.ErrUnavailable)
			require.Less(t, len(err.Error()), 2*maxText)
			before := asked.Load()
			_, again := r.Schema(t.Context(), 5)
			require.Equal(t, err, again)
			require.Equal(t, before, asked.Load(), "each record would ask")

			_, err = r.Register(t.Context(), "rates-value", one)
			require.Error(t, err)
			require.NotErrorIs(t, err, topology.ErrUnavailable)
			require.Less(t, len(err.Error()), 3*maxText)
		})
	}
}

func text(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// What is compressed is bounded by what it becomes.
func TestCompressedAnswers(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	zeros := make([]byte, 1<<20)
	for range 64 {
		_, err := w.Write(zeros)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	for _, status := range []int{200, 404, 500} {
		r, _ := answers(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.WriteHeader(status)
			_, _ = w.Write(packed.Bytes())
		})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := r.Schema(t.Context(), 5)
		runtime.ReadMemStats(&after)
		require.ErrorIs(t, err, errTooLarge)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(40<<20))
	}
}

// A schema of just below the bound is read.
func TestLargeSchemas(t *testing.T) {
	doc := strings.Repeat("a", maxAnswer-1000)
	r, _ := answers(t, text(200, `{"schema":"`+doc+`"}`))
	s, err := r.Schema(t.Context(), 5)
	require.NoError(t, err)
	require.Equal(t, doc, s.Text)
}

// Secrets go to the registry that was named. A redirect within it is followed.
func TestRedirects(t *testing.T) {
	var got atomic.Value
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter,
		req *http.Request) {
		got.Store(req.Header.Get("Authorization"))
	}))
	t.Cleanup(thief.Close)
	for _, secret := range []func(*Config){
		func(c *Config) { c.Username, c.Password = "ashi", kafka.NewSecret("hush") },
		func(c *Config) { c.Token = kafka.NewSecret("hush") },
		func(*Config) {},
	} {
		to := thief.URL + "/take?hush"
		r, asked := answers(t, func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, to, http.StatusTemporaryRedirect)
		}, secret)
		for range 2 {
			_, err := r.Schema(t.Context(), 5)
			require.ErrorContains(t, err, "redirects from http://127.0.0.1:")
			require.ErrorContains(t, err, "to "+thief.URL+", which is not followed")
			require.NotErrorIs(t, err, topology.ErrUnavailable)
		}
		require.EqualValues(t, 1, asked.Load())
		_, err := r.Register(t.Context(), "a", one)
		require.ErrorContains(t, err, "which is not followed")
		require.Nil(t, got.Load(), "nobody else is asked")
		to = strings.Replace(r.cfg.URLs[0], "http://", "https://", 1)
		_, err = r.Schema(t.Context(), 6)
		require.ErrorContains(t, err, "redirects from http://")
	}
	r, _ := answers(t, func(w http.ResponseWriter, req *http.Request) {
		if user, _, _ := req.BasicAuth(); user != "ashi" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if !strings.HasPrefix(req.URL.Path, "/v2") {
			http.Redirect(w, req, "/v2"+req.URL.Path, http.StatusTemporaryRedirect)
			return
		}
		_, _ = io.WriteString(w, `{"id":9,"schema":"\"string\""}`)
	}, func(c *Config) { c.Username, c.Password = "ashi", kafka.NewSecret("hush") })
	id, err := r.Register(t.Context(), "a", one)
	require.NoError(t, err)
	require.Equal(t, 9, id)
	s, err := r.Schema(t.Context(), 9)
	require.NoError(t, err)
	require.Equal(t, `"string"`, s.Text)
}

// A secret over http to another machine is worth a line in the log.
func TestWarnings(t *testing.T) {
	for url, want := range map[string]bool{"http://registry:8081": true, "http://10.0.0.1": true,
		"https://registry": false, "http://127.0.0.1:8081": false, "http://localhost:8081": false,
		"http://[::1]:8081": false} {
		for _, cfg := range []Config{{Username: "a", Password: kafka.NewSecret("hush")},
			{Token: kafka.NewSecret("hush")}, {}} {
			var out bytes.Buffer
			cfg.URLs, cfg.Log = []string{"https://other", url}, slog.New(slog.NewTextHandler(&out, nil))
			_, err := New(cfg)
			require.NoError(t, err)
			require.Equal(t, want && (cfg.Username != "" || !cfg.Token.IsZero()), strings.Contains(out.String(),
				"over http"), "%s: %s", url, &out)
			require.NotContains(t, out.String(), "hush")
		}
	}
}

// A schema comes with those that it refers to, each asked for once.
func TestReferences(t *testing.T) {
	r := registrytest.Start(t)
	avroText := func(text string, refs ...topology.Reference) topology.Schema {
		return topology.Schema{Format: topology.AvroSchema, Text: text, References: refs}
	}
	put := func(subject, name string, s topology.Schema) topology.Reference {
		r.Register(subject, s)
		return topology.Reference{Name: name, Subject: subject, Version: 1, Schema: s}
	}
	side := put("sides/x", "x.Side", avroText(`{"type":"enum","name":"x.Side","symbols":["BUY"]}`))
	leg := put("leg", "x.Leg", avroText(`{"type":"record","name":"x.Leg","fields":[{"name":"side","type":"x.Side"}]}`,
		side))
	trade := avroText(
		`{"type":"record","name":"Trade","fields":[{"name":"leg","type":"x.Leg"},{"name":"side","type":"x.Side"}]}`,
		leg, side)
	id := r.Register("trades-value", trade)
	c := open(t, r)
	for range 2 {
		got, err := c.Schema(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, trade, got)
	}
	require.Equal(t, 3, r.Requests())

	proto := topology.Schema{Format: topology.ProtobufSchema, Text: `syntax = "proto3";`,
		References: []topology.Reference{side}}
	got, err := c.Schema(t.Context(), r.Register("proto", proto))
	require.NoError(t, err)
	require.Empty(t, got.References, "Protobuf is read without them")
	require.Equal(t, 4, r.Requests())
}

// References have no end in a broken registry.
func TestReferencesWithoutEnd(t *testing.T) {
	next := 0
	for want, answer := range map[string]http.HandlerFunc{
		"refer to each other in a circle": text(200,
			`{"schema":"\"x\"","references":[{"name":"x","subject":"x","version":1}]}`),
		"more than 256 schemas": func(w http.ResponseWriter, _ *http.Request) {
			next++
			fmt.Fprintf(w, `{"schema":"\"x\"","references":[{"name":"x","subject":"x%d","version":1}]}`, next)
		},
		"version 1 of subject gone: not there": func(w http.ResponseWriter, req *http.Request) {
			if strings.HasPrefix(req.URL.Path, "/subjects/gone/") {
				text(404, `{"error_code":40401,"message":"not there"}`)(w, req)
				return
			}
			_, _ = io.WriteString(w, `{"schema":"\"x\"","references":[{"name":"x","subject":"gone","version":1}]}`)
		},
		"larger than 8 MiB": func(w http.ResponseWriter, _ *http.Request) {
			next++
			fmt.Fprintf(w, `{"schema":%q,"references":[{"name":"x","subject":"x%d","version":1}]}`,
				strings.Repeat("x", 1<<20), next)
		},
	} {
		r, asked := answers(t, answer)
		_, err := r.Schema(t.Context(), 5)
		require.ErrorContains(t, err, want)
		require.NotErrorIs(t, err, topology.ErrUnavailable)
		before := asked.Load()
		_, err = r.Schema(t.Context(), 5)
		require.ErrorContains(t, err, want)
		require.Equal(t, before, asked.Load())
		require.Less(t, len(err.Error()), 3*maxText, "%.200s", err)
	}
}
