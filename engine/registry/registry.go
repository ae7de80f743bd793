package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
	"golang.org/x/sync/singleflight"

	"github.com/ashi-stream/ashi/topology"
)

const (
	// refusedFor is how long an id of which the registry has no schema is not asked for again;
	// maxRefused how many of them are remembered.
	refusedFor = 30 * time.Second
	maxRefused = 1024
	// maxReferences bounds the schemas that one refers to, by however many steps.
	maxReferences = 256

	firstWait = 100 * time.Millisecond
	maxWait   = 2 * time.Second
)

// Registry is a client of a schema registry; it is a [topology.Schemas]. See New.
type Registry struct {
	cfg    Config
	client *sr.Client
	flight singleflight.Group // so that tasks that meet a new id at one time ask once

	mu         sync.Mutex // guards what is remembered
	schemas    map[int]topology.Schema
	registered map[registration]int
	refused    map[int]refused
}

// refused is an answer that is no schema, and when it was heard.
type refused struct {
	err error
	at  time.Time
}

type registration struct {
	subject string
	format  topology.SchemaFormat
	text    string
}

// New checks cfg and lists every mistake in it. The registry is not asked yet.
func New(cfg Config) (*Registry, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("registry: configuration:\n%w", err)
	}
	cfg = cfg.withDefaults()
	cfg.URLs = slices.Clone(cfg.URLs)
	client, err := newClient(&cfg)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	for _, warning := range cfg.Warnings() {
		log := cfg.Log
		if log == nil {
			log = slog.Default()
		}
		log.Warn("registry: " + warning)
	}
	return &Registry{cfg: cfg, client: client, schemas: map[int]topology.Schema{}, registered: map[registration]int{},
		refused: map[int]refused{}}, nil
}

// Register is the id of a schema under a subject. It is registered if need be, or with
// Config.LookupOnly looked up. A schema that is not compatible is an error that explains itself;
// one that wraps [topology.ErrUnavailable] says that the registry did not answer.
func (r *Registry) Register(ctx context.Context, subject string, s topology.Schema) (int, error) {
	key := registration{subject, s.Format, s.Text}
	r.mu.Lock()
	id, ok := r.registered[key]
	r.mu.Unlock()
	if ok {
		return id, nil
	}
	wire, err := toWire(s)
	if err != nil {
		return 0, err
	}
	path := "/subjects/" + url.PathEscape(subject)
	if !r.cfg.LookupOnly {
		path += "/versions"
	}
	var answer struct{ ID *int32 }
	if err = r.call(ctx, http.MethodPost, path, wire, &answer); err == nil && answer.ID == nil {
		err = fmt.Errorf("%w: it has no id", errUnreadable)
	}
	if err != nil {
		return 0, r.explained(ctx, subject, wire, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.registered[key] = int(*answer.ID)
	return int(*answer.ID), nil
}

// Schema is the one of an id. An error that wraps [topology.ErrUnavailable] says that the registry
// did not answer.
func (r *Registry) Schema(ctx context.Context, id int) (topology.Schema, error) {
	if s, ok, err := r.remembered(id); ok || err != nil {
		return s, err
	}
	asked := r.flight.DoChan(fmt.Sprint(id), func() (any, error) {
		return r.ask(context.WithoutCancel(ctx), id) // for all who wait
	})
	select {
	case a := <-asked:
		return a.Val.(topology.Schema), a.Err
	case <-ctx.Done():
		return topology.Schema{}, fmt.Errorf("registry: schema %d: %w: %w", id, topology.ErrUnavailable, ctx.Err())
	}
}

func (r *Registry) remembered(id int) (topology.Schema, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s, ok := r.schemas[id]; ok {
		return s, true, nil
	}
	if no, ok := r.refused[id]; ok && time.Since(no.at) < refusedFor {
		return topology.Schema{}, false, no.err
	}
	return topology.Schema{}, false, nil
}

// ask asks for a schema and all that it refers to. An answer that is none is remembered for a
// while, so that a topic full of such records does not ask for each of them.
func (r *Registry) ask(ctx context.Context, id int) (topology.Schema, error) {
	s, err := r.fetch(ctx, fmt.Sprintf("/schemas/ids/%d", id), newFetched())
	if within := new(referenceError); notFound(err) && !errors.As(err, &within) {
		err = fmt.Errorf("registry: there is no schema %d", id)
	} else if err != nil {
		err = fmt.Errorf("registry: schema %d: %w", id, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		r.schemas[id] = s
	case !errors.Is(err, topology.ErrUnavailable):
		if len(r.refused) >= maxRefused {
			clear(r.refused)
		}
		r.refused[id] = refused{err, time.Now()}
	}
	return s, err
}

// fetched is what has been found on the way through references. A schema without an answer is in
// work.
type fetched struct {
	schemas map[string]*topology.Schema
	bytes   int
}

func newFetched() *fetched { return &fetched{schemas: map[string]*topology.Schema{}} }

// referenceError is of a schema that another one refers to.
type referenceError struct{ error }

func (e *referenceError) Unwrap() error { return e.error }

// fetch is the schema at a path. References are fetched for Avro alone: Protobuf and JSON are read
// without the writer's schema.
func (r *Registry) fetch(ctx context.Context, path string, f *fetched) (topology.Schema, error) {
	if known, ok := f.schemas[path]; ok {
		if known == nil {
			return topology.Schema{}, errors.New("schemas refer to each other in a circle")
		}
		return *known, nil
	}
	if len(f.schemas) > maxReferences {
		return topology.Schema{}, fmt.Errorf("it refers to more than %d schemas", maxReferences)
	}
	f.schemas[path] = nil
	var wire sr.Schema
	if err := r.call(ctx, http.MethodGet, path, nil, &wire); err != nil {
		return topology.Schema{}, err
	}
	if wire.Schema == "" {
		return topology.Schema{}, fmt.Errorf("%w: it has no schema", errUnreadable)
	}
	if f.bytes += len(wire.Schema); f.bytes > maxAnswer {
		return topology.Schema{}, errTooLarge
	}
	s := topology.Schema{Format: topology.SchemaFormat(wire.Type.String()), Text: wire.Schema}
	if s.Format == topology.AvroSchema {
		ctx = sr.WithParams(ctx, sr.ShowDeleted) // what was deleted softly is still referred to
		for _, ref := range wire.References {
			found, err := r.fetch(ctx, fmt.Sprintf("/subjects/%s/versions/%d", url.PathEscape(ref.Subject),
				ref.Version), f)
			var within *referenceError
			if err != nil && !errors.As(err, &within) { // the innermost says what is missing
				err = &referenceError{fmt.Errorf("it refers to version %d of subject %s: %w", ref.Version,
					cut(ref.Subject), err)}
			}
			if err != nil {
				return topology.Schema{}, err
			}
			s.References = append(s.References, topology.Reference{Name: ref.Name, Subject: ref.Subject,
				Version: ref.Version, Schema: found})
		}
	}
	f.schemas[path] = &s
	return s, nil
}

func toWire(s topology.Schema) (sr.Schema, error) {
	w := sr.Schema{Schema: s.Text}
	if err := w.Type.UnmarshalText([]byte(s.Format)); err != nil {
		return w, fmt.Errorf("registry: a schema of format %q: %w", s.Format, err)
	}
	return w, nil
}
