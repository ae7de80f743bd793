// Package config makes an [engine.Config] of a file in YAML or JSON and of the environment (CFG-1).
//
//	cfg, err := config.Load("fx.yaml", config.Options{Plan: plan})
//	eng, err := engine.New(plan, cfg)
//
// [Registry] reads, from the same file, where the schema registry is, for programs that give one to
// the codecs of their plan.
//
// Everything is checked at once: an error of Load is a list of all problems, each with its place,
// its key, and what to do about it, in the order of the file. docs/configuration.md has every key,
// generated from this package.
//
// A variable of the environment is stronger than the file: messaging.sasl.user is
// ASHI_MESSAGING_SASL_USER. In values of the file ${NAME} stands for a variable, and $${ for ${.
// What comes from a variable is never printed, nor is a password.
package config
