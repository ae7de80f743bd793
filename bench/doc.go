// Package bench holds what measures ashi as a whole: e2e runs a pipeline on an existing Kafka topic
// beside other engines, reads measures reads of tables under load, restore how long state takes to
// come back, tables how long a table takes to be ready; internal/rig is what they share, and
// results keeps raw figures with how they came about. Benchmarks of parts are beside the parts, in
// their _test.go files: make bench runs them all. There is no code here, and so nothing to use
// concurrently.
package bench
