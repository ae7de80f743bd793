package config

import (
	"fmt"
	"io"
	"os"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/topology"
)

// Options are what Load may be told. The zero value will do.
type Options struct {
	// Plan lets the names of topics and tables be checked here, where they have a place. Nil: engine.New does it.
	Plan *topology.Plan
	// Environ are NAME=VALUE. Nil: os.Environ().
	Environ []string
	// Output takes the log lines. Nil: standard error.
	Output io.Writer
}

// Load reads a file, lets the environment override it, and returns the configuration, or a *Error that lists every problem. An empty name
// is no file: all comes from the environment. Warnings are logged by the logger of the configuration. What only a program can give (Dial, a
// function for tokens) is set in what Load returns.
func Load(file string, o Options) (engine.Config, error) {
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	if o.Output == nil {
		o.Output = os.Stderr
	}
	d := &decoder{file: file, look: lookIn(o.Environ), places: map[string]place{}}
	doc := new(document)
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return engine.Config{}, fmt.Errorf("config: %w", err)
		}
		if !d.read(text, doc) {
			return engine.Config{}, &Error{d.problems}
		}
	}
	d.environment(o.Environ, doc)
	d.check(doc)
	if o.Plan != nil {
		d.checkNames(doc, o.Plan)
	}
	cfg := doc.engine(o.Output)
	if len(d.problems) == 0 {
		// What is checked above has a place, and the words of the file. This is the engine's own last word.
		if err := cfg.Validate(); err != nil {
			d.problem(place{text: d.name()}, "", "%v", err)
		}
	}
	inOrder(d.problems)
	left := d.problems[:0:0]
	for _, p := range d.problems {
		if p.harmless && doc.Validation == "relaxed" {
			cfg.Log.Warn("configuration", "problem", p.String())
			continue
		}
		left = append(left, p)
	}
	if len(left) > 0 {
		return engine.Config{}, &Error{left}
	}
	return cfg, nil
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
