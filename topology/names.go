package topology

import (
	"fmt"
	"strings"
)

// What an application makes in Kafka is named in this file, and nowhere else:
//
//	fx                        its consumer group
//	fx--rates-changelog       the changelog of the sub-topology rates
//	fx--pair-repartition      the internal topic pair-repartition
//	fx--rates-3               the transactional id of partition 3 of the sub-topology rates
//	ashi-owner--rates_1min    the group that says who writes the topic rates_1min
//
// No two applications may ever give one name: each would take the other's state for its own. An
// application's name has no separator in it and does not end with the separator's first character
// (CheckApplication). So the first separator of a name is where the application's ends, and there
// is one way only to read a name. Names of one application that meet are a mistake that Plan.Check
// reports.

// separator stands between the name of an application and the rest of a name.
const separator = "--"

// CheckApplication returns an error if name is not one that an application may have.
func CheckApplication(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if name == ownerGroups {
		return fmt.Errorf("name %q is ashi's own: write another one", name)
	}
	if strings.Contains(name, separator) || strings.HasSuffix(name, separator[:1]) {
		return fmt.Errorf(
			"name %q: it must neither contain %q nor end with %q, which separates it from the rest of the names of "+
				"its topics: write %q", name, separator, separator[:1], single(name))
	}
	return nil
}

// single is name with one hyphen in place of several, and none at its end.
func single(name string) string {
	for strings.Contains(name, separator) {
		name = strings.ReplaceAll(name, separator, separator[:1])
	}
	if name = strings.TrimSuffix(name, separator[:1]); name == "" {
		return "app"
	}
	return name
}

// GroupName is the consumer group of an application: one for all of its sub-topologies.
func GroupName(application string) string { return application }

// OwnerGroup is the group whose committed offset says which application a topic of results belongs
// to. It is the cluster's, not an application's.
func OwnerGroup(topic string) string { return ownerGroups + separator + topic }

// ownerGroups begins the names of OwnerGroup: no application may be called so.
const ownerGroups = "ashi-owner"

// ChangelogName is the topic of the state of a sub-topology.
func ChangelogName(application, sub string) string {
	return application + separator + sub + "-changelog"
}

// InternalName is an internal topic of an application. CutInternal takes the name back out of it.
func InternalName(application, name string) string { return application + separator + name }

// CutInternal is the name that InternalName was given.
func CutInternal(application, topic string) string {
	return strings.TrimPrefix(topic, application+separator)
}

// TransactionalPrefix is what the transactional ids of an application begin with.
func TransactionalPrefix(application string) string { return application + separator }

// TransactionalID is that of the task of one partition.
func TransactionalID(application, sub string, partition int32) string {
	return fmt.Sprintf("%s%s-%d", TransactionalPrefix(application), sub, partition)
}

// namesMeet reports names of the engine's own topics that are also those of another topic of the
// plan. What the program itself reads and writes is held against each other in sink.
func (c *checker) namesMeet(p *Plan) {
	of := map[string]string{} // a topic to what it is
	note := func(place, topic, what string) {
		other, met := of[topic]
		if met && other != what {
			c.errorf(place, "%s and %s have one name, %q: give one of them another name", other, what, topic)
			return
		}
		of[topic] = what
	}
	for i, t := range p.Internal {
		note(t.Place, t.Topic, fmt.Sprintf("internal topic %d", i+1))
	}
	for _, s := range p.Subs {
		place := s.place()
		changelog := ChangelogName(p.Name, s.Name)
		// it is too long
		if err := CheckName(changelog); err != nil && CheckName(s.Name) == nil && CheckName(p.Name) == nil {
			c.errorf(place, "changelog of sub-topology %q: %w", s.Name, err)
		}
		note(place, changelog, fmt.Sprintf("the changelog of the sub-topology that reads %q", s.Topics()))
		for n := range s.Nodes() {
			for _, topic := range n.outside() {
				note(n.Place, topic, "a topic that the program reads or writes")
			}
		}
	}
	if p.DeadLetters != "" {
		note(p.Place, p.DeadLetters, "a topic that the program reads or writes")
	}
	c.foldersMeet(p)
}

// foldersMeet reports tables that would be kept in one folder of the state directory.
func (c *checker) foldersMeet(p *Plan) {
	of := map[string]string{}
	for _, t := range p.Tables {
		folder := t.Folder + "/" + t.File
		// two of one topic are told already
		if other, met := of[folder]; met && other != t.Topic && t.WithoutMirror == "" {
			c.errorf(t.Place,
				"tables %q and %q would be kept in one folder, %q: give the results of one another name with Named",
				other, t.Topic, folder)
		}
		if t.WithoutMirror == "" {
			of[folder] = t.Topic
		}
	}
}

func (s *SubTopology) place() string {
	if len(s.Roots) == 0 {
		return ""
	}
	return s.Roots[0].Place
}

// outside is the topics of the program, not of the engine, that a node reads or writes.
func (n *Node) outside() []string {
	switch o := n.Op.(type) {
	case *Source:
		if !o.Internal {
			return []string{o.Topic}
		}
	case *Sink:
		if !o.Internal {
			return []string{o.Topic}
		}
	case *Aggregate:
		if o.Late != "" {
			return []string{o.Late}
		}
	}
	return nil
}
