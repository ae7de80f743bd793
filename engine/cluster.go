package engine

import (
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/topology"
)

// component is the attribute of log lines that says which part of the engine writes them: core,
// messaging or serialization. Package engine/config gives each a level (LOG-1).
const component = "component"

// Validate returns every problem of c, joined; New does it too, and holds names against the plan.
func (c Config) Validate() error { return c.validate() }

// WithDefaults is c with the default of each field that is not set: what an Engine runs with.
func (c Config) WithDefaults() Config { return c.withDefaults() }

// Kafka is how an Engine of plan reaches the cluster of c, for what a program does there itself
// (kafka.NewAdmin). Its Needs are those of ACLs.
func (c Config) Kafka(plan *topology.Plan) kafka.Config {
	c = c.withDefaults()
	setDefault(&c.ClientID, plan.Name)
	return kafka.Config{Brokers: c.Brokers, ClientID: c.ClientID, Security: c.Security, Client: c.Client,
		Needs: ACLs(plan, c), Dial: c.Dial, Logger: c.Log.With(component, "messaging"),
		SessionTimeout: c.SessionTimeout}
}

// groupName is the consumer group of an application: one for all of its sub-topologies.
func groupName(p *topology.Plan) string { return topology.GroupName(p.Name) }

// changelogName is the topic of a sub-topology's state.
func changelogName(p *topology.Plan, s *topology.SubTopology) string {
	return topology.ChangelogName(p.Name, s.Name)
}
