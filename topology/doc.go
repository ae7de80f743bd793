// Package topology is the plan of an application: immutable, checked, printable, and without the
// types of the user's rows.
//
// A [Plan] is cut into [SubTopology]s, each with its source topics and the [Node]s below them. A
// node's Op says what it does: a [Source] decodes, a [Step] filters, maps, flattens or peeks, an
// [Aggregate] keeps windows of groups, a [Sink] writes to a topic. One partition of one
// sub-topology is a task of the engine.
//
// Ops hold constructors (Open...), as a task needs its own copy of what it reuses from record to
// record: a plan may be run by any number of tasks at once, what Open returned by one goroutine.
//
// Packages that build plans (dsl today, a SQL front end one day) fill these types in and call
// [Plan.Check]; package engine runs them. [Plan.Describe] and [Plan.Mermaid] print them.
package topology
