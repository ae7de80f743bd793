// Package snippets runs what the pages of docs show: the plans of their blocks are built, and their
// worked tables computed. docs_test.go in the root folder adds the lists of both, and runs it; so
// it cannot be built alone.
package snippets
