// Package registrytest is a schema registry inside a test's process: [Start] serves one on the
// loopback interface until the test ends.
//
// It registers and finds schemas of every format, and checks compatibility of Avro schemas with the
// latest version, as the subject's rule says (BACKWARD at first). Other formats are never refused.
// A Registry is safe for concurrent use.
package registrytest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/ashi-stream/ashi/topology"
)

// Registry is a registry inside the process. See Start.
type Registry struct {
	// URL is where it is.
	URL string

	t        testing.TB
	fake     *srfake.Registry
	down     atomic.Bool
	requests atomic.Int64

	mu    sync.Mutex // guards what follows
	rules map[string]sr.CompatibilityLevel
	auth  string
}

// Start serves an empty registry until the test ends.
func Start(t testing.TB) *Registry {
	r := &Registry{t: t, fake: srfake.NewRegistry(), rules: map[string]sr.CompatibilityLevel{}}
	r.fake.Intercept(r.intercept)
	server := httptest.NewServer(r.fake.Handler())
	t.Cleanup(server.Close)
	r.URL = server.URL
	return r
}

// Down lets it answer every request with status 503, or lets it work again.
func (r *Registry) Down(down bool) { r.down.Store(down) }

// Requests is how many there were.
func (r *Registry) Requests() int { return int(r.requests.Load()) }

// Rule sets a subject's rule of compatibility: NONE, BACKWARD, FORWARD, FULL.
func (r *Registry) Rule(subject, rule string) {
	r.t.Helper()
	var level sr.CompatibilityLevel
	if err := errors.Join(level.UnmarshalText([]byte(rule)), r.fake.SetCompat(subject, level)); err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rules[subject] = level
}

// Authorization is the header that every request must have from now on.
func (r *Registry) Authorization(header string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.auth = header
}

// Register puts a schema in as another program would, with the subjects and versions that it refers
// to, which must be there. It fails the test where the registry refuses it.
func (r *Registry) Register(subject string, s topology.Schema) (id int) {
	r.t.Helper()
	wire := sr.Schema{Schema: s.Text}
	for _, ref := range s.References {
		wire.References = append(wire.References, sr.SchemaReference{Name: ref.Name, Subject: ref.Subject,
			Version: ref.Version})
	}
	err := wire.Type.UnmarshalText([]byte(s.Format))
	if err == nil {
		id, _, err = r.fake.RegisterSchema(subject, wire)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

// Latest is the newest schema of a subject, with its version; 0 if there is none.
func (r *Registry) Latest(subject string) (s topology.Schema, version int) {
	found, ok := r.latest(subject)
	if !ok {
		return topology.Schema{}, 0
	}
	return topology.Schema{Format: topology.SchemaFormat(found.Type.String()), Text: found.Schema.Schema}, found.Version
}

func (r *Registry) latest(subject string) (found sr.SubjectSchema, ok bool) {
	for version := 1; ; version++ {
		s, more := r.fake.GetSchema(subject, version)
		if !more {
			return found, ok
		}
		found, ok = s, true
	}
}

// intercept answers what the fake registry would not answer as a real one does.
func (r *Registry) intercept(w http.ResponseWriter, req *http.Request) bool {
	r.requests.Add(1)
	r.mu.Lock()
	auth := r.auth
	r.mu.Unlock()
	switch {
	case r.down.Load():
		refuse(w, http.StatusServiceUnavailable, 50301, "down")
		return true
	case auth != "" && req.Header.Get("Authorization") != auth:
		refuse(w, http.StatusUnauthorized, 40101, "Unauthorized")
		return true
	}
	subject, ok := strings.CutPrefix(req.URL.EscapedPath(), "/subjects/")
	subject, versions := strings.CutSuffix(subject, "/versions")
	if !ok || !versions || req.Method != http.MethodPost {
		return false
	}
	subject, err := url.PathUnescape(subject)
	if err == nil {
		err = r.check(subject, req)
	}
	if err != nil {
		refuse(w, http.StatusConflict, 409, err.Error())
	}
	return err != nil
}

// check holds a schema that is to be registered against the latest one.
func (r *Registry) check(subject string, req *http.Request) error {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return err
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	var wire sr.Schema
	before, ok := r.latest(subject)
	if err := json.Unmarshal(body, &wire); err != nil || !ok || wire.Type != sr.TypeAvro || before.Type != sr.TypeAvro {
		return nil
	}
	was, err := avro.Parse(before.Schema.Schema)
	if err != nil {
		return nil // it refers to others
	}
	is, err := avro.Parse(wire.Schema)
	if err != nil {
		return nil // the fake says so
	}
	r.mu.Lock()
	rule, set := r.rules[subject]
	r.mu.Unlock()
	if !set {
		rule = sr.CompatBackward
	}
	if rule == sr.CompatBackward || rule == sr.CompatFull {
		err = avro.CheckCompatibility(was, is)
	}
	if err == nil && (rule == sr.CompatForward || rule == sr.CompatFull) {
		err = avro.CheckCompatibility(is, was)
	}
	if err != nil {
		return fmt.Errorf(
			"schema being registered is incompatible with an earlier schema for subject %q, details: [%w]", subject,
			err)
	}
	return nil
}

func refuse(w http.ResponseWriter, status, code int, message string) {
	w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	w.WriteHeader(status)
	// the client sees what is missing
	_ = json.NewEncoder(w).Encode(map[string]any{"error_code": code, "message": message})
}
