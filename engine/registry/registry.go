package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
	"golang.org/x/sync/singleflight"

	"github.com/ashi-stream/ashi/topology"
)

const (
	// unknownFor is how long an id that the registry does not know is not asked for again; maxUnknown how many of them are remembered.
	unknownFor = 30 * time.Second
	maxUnknown = 1024

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
	unknown    map[int]time.Time // when that was heard
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
	opts := []sr.ClientOpt{sr.URLs(slices.Clone(cfg.URLs)...), sr.UserAgent("ashi"), sr.HTTPClient(&http.Client{Timeout: cfg.Timeout}), sr.LogLevel(sr.LogLevelNone)}
	opts = append(opts, sr.PreReq(cfg.authorize))
	if cfg.TLS != nil {
		opts = append(opts, sr.DialTLSConfig(cfg.TLS.Clone()))
	}
	client, err := sr.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return &Registry{cfg: cfg, client: client, schemas: map[int]topology.Schema{}, registered: map[registration]int{}, unknown: map[int]time.Time{}}, nil
}

// Register is the id of a schema under a subject. It is registered if need be, or with Config.LookupOnly looked up. A schema that is not
// compatible is an error that explains itself; one that wraps [topology.ErrUnavailable] says that the registry did not answer.
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
	err = r.patient(ctx, func(ctx context.Context) (err error) {
		if r.cfg.LookupOnly {
			var found sr.SubjectSchema
			found, err = r.client.LookupSchema(ctx, subject, wire)
			id = found.ID
		} else {
			id, err = r.client.RegisterSchema(ctx, subject, wire, -1, -1)
		}
		return err
	})
	if err != nil {
		return 0, r.refused(ctx, subject, wire, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.registered[key] = id
	return id, nil
}

// Schema is the one of an id. An error that wraps [topology.ErrUnavailable] says that the registry did not answer.
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
	if at, ok := r.unknown[id]; ok && time.Since(at) < unknownFor {
		return topology.Schema{}, false, unknownID(id)
	}
	return topology.Schema{}, false, nil
}

func unknownID(id int) error { return fmt.Errorf("registry: there is no schema %d", id) }

func (r *Registry) ask(ctx context.Context, id int) (topology.Schema, error) {
	var wire sr.Schema
	err := r.patient(ctx, func(ctx context.Context) (err error) {
		wire, err = r.client.SchemaByID(ctx, id)
		return err
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if notFound(err) {
		if len(r.unknown) >= maxUnknown {
			clear(r.unknown)
		}
		r.unknown[id] = time.Now()
		return topology.Schema{}, unknownID(id)
	}
	if err != nil {
		return topology.Schema{}, fmt.Errorf("registry: schema %d: %w", id, err)
	}
	s := topology.Schema{Format: topology.SchemaFormat(wire.Type.String()), Text: wire.Schema}
	if len(wire.References) > 0 && s.Format == topology.AvroSchema {
		return topology.Schema{}, fmt.Errorf("registry: schema %d refers to others (%s), which is not supported for Avro", id, wire.References[0].Subject)
	}
	r.schemas[id] = s
	return s, nil
}

// patient asks again where the registry does not answer, for as long as Config.Patience says. Other errors are the registry's answer.
func (r *Registry) patient(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Patience)
	defer cancel()
	var err error
	for wait := firstWait; ; wait = min(2*wait, maxWait) {
		last := ask(ctx)
		if last == nil || !unanswered(last) {
			return last
		}
		if err == nil || ctx.Err() == nil {
			err = last // the end of our patience says nothing of the cause
		}
		again := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			again.Stop()
			return fmt.Errorf("%w: %w", topology.ErrUnavailable, err)
		case <-again.C:
		}
	}
}

// unanswered says that an error is no answer to the question: the request did not get through, or the registry is in trouble.
func unanswered(err error) bool {
	var answer *sr.ResponseError
	if !errors.As(err, &answer) {
		return true
	}
	return answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode == http.StatusRequestTimeout
}

func notFound(err error) bool {
	var answer *sr.ResponseError
	return errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound
}

func toWire(s topology.Schema) (sr.Schema, error) {
	w := sr.Schema{Schema: s.Text}
	if err := w.Type.UnmarshalText([]byte(s.Format)); err != nil {
		return w, fmt.Errorf("registry: a schema of format %q: %w", s.Format, err)
	}
	return w, nil
}
