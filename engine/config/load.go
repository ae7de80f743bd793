package config

import (
	"fmt"
	"io"
	"os"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/registry"
	"github.com/ashi-stream/ashi/topology"
)

// Options are what Load may be told. The zero value will do.
type Options struct {
	// Plan lets the names of topics and tables be checked here, where they have a place. Nil:
	// engine.New does it.
	Plan *topology.Plan
	// Environ are NAME=VALUE. Nil: os.Environ().
	Environ []string
	// Output takes the log lines. Nil: standard error.
	Output io.Writer
}

// Load reads a file, lets the environment override it, and returns the configuration, or a *Error
// that lists every problem. An empty name is no file: all comes from the environment. Warnings are
// logged by the logger of the configuration. What only a program can give (Dial, a function for
// tokens) is set in what Load returns.
func Load(file string, o Options) (engine.Config, error) {
	if o.Output == nil {
		o.Output = os.Stderr
	}
	doc, cfg, err := load(file, o, func(d *decoder, doc *document) {
		if o.Plan != nil {
			d.checkNames(doc, o.Plan)
		}
	})
	if err == nil && doc.Registry != nil {
		for _, warning := range doc.Registry.warnings() {
			cfg.Log.Warn(warning)
		}
	}
	return cfg, err
}

// Registry reads the section of the schema registry from what Load reads, before there is a plan: a
// plan's codecs are given the registry. Its error is that of Load, about the whole file, and a
// registry that is not there is one more problem. Warnings are Load's to log.
func Registry(file string, o Options) (registry.Config, error) {
	o.Output = io.Discard
	doc, _, err := load(file, o, (*decoder).needRegistry)
	if err != nil {
		return registry.Config{}, err
	}
	cfg, err := doc.Registry.registry()
	if err != nil {
		return cfg, fmt.Errorf("config: registry: %w", err)
	}
	return cfg, nil
}

// load reads and checks all; more is what the caller checks beside.
func load(file string, o Options, more func(*decoder, *document)) (*document, engine.Config, error) {
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	d := &decoder{file: file, look: lookIn(o.Environ), places: map[string]place{}}
	doc := new(document)
	if file != "" {
		text, err := readFile(file)
		if err != nil {
			return nil, engine.Config{}, fmt.Errorf("config: %w", err)
		}
		if !d.read(text, doc) {
			return nil, engine.Config{}, &Error{d.problems}
		}
	}
	d.environment(o.Environ, doc)
	d.check(doc)
	more(d, doc)
	cfg := doc.engine(o.Output)
	if len(d.problems) == 0 {
		// What is checked above has a place, and the words of the file. This is the engine's own
		// last word.
		if err := cfg.Validate(); err != nil {
			d.problem(place{text: d.name()}, "", "%v", err)
		}
	}
	inOrder(d.problems)
	d.rest()
	left := d.problems[:0:0]
	for _, p := range d.problems {
		if p.harmless && doc.Validation == "relaxed" {
			cfg.Log.Warn("configuration", "problem", p.String())
			continue
		}
		left = append(left, p)
	}
	if len(left) > 0 {
		return nil, engine.Config{}, &Error{left}
	}
	return doc, cfg, nil
}

// readFile reads a file that is not larger than a configuration can be.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s has more than %d KiB: is it a configuration?", name, maxFile>>10)
	}
	return text, err
}

// lookIn looks up variables.
func lookIn(environ []string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, entry := range environ {
			if n := len(name); len(entry) > n && entry[n] == '=' && entry[:n] == name {
				return entry[n+1:], true
			}
		}
		return "", false
	}
}
