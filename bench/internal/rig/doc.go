// Package rig is what the benchmark programs stand on: a broker, an engine beside what is measured,
// the ticks and bars of their plans, and what a line of results says about the machine. A program
// is main.go with its flags and its measurement; see restore for a short one.
//
//	facts.go     JSON lines, with when and on what machine they were measured, and how busy that was; CPU time and memory of the process
//	kafka.go     the broker, and how far a group has come
//	engine.go    the life of a program and of its engine; input; CPU profiles
//	openings.go  which tasks are open
//	rows.go      ticks and bars
//
// A program uses all of it from one goroutine, but for Openings, which the engine's goroutines
// write to.
package rig
