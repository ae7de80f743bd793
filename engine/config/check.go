package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/registry"
	"github.com/ashi-stream/ashi/topology"
)

// check notes what is wrong between keys.
func (d *decoder) check(doc *document) {
	if d.lacks("messaging.brokers") {
		d.problem(d.where("messaging"), "messaging.brokers",
			"is missing: give the address of one broker or more, or set %s", variableOf("messaging.brokers"))
	}
	if t := doc.Messaging.TLS; t != nil {
		d.checkTLS("messaging.tls", t)
	}
	if s := doc.Messaging.SASL; s != nil {
		d.checkSASL(s)
	}
	if r := doc.Registry; r != nil {
		d.checkRegistry(r)
	}
	d.settings("topics.settings", doc.Topics.Settings, true)
	for _, name := range slices.Sorted(maps.Keys(doc.Topics.Of)) {
		d.settings(join(join("topics.of", name), "settings"), doc.Topics.Of[name].Settings, false)
	}
}

func (d *decoder) checkTLS(section string, t *tlsSection) {
	for _, pair := range [][4]string{{"certFile", t.CertFile, "keyFile", t.KeyFile}, {"keyFile", t.KeyFile, "certFile",
		t.CertFile}} {
		if key := join(section, pair[0]); pair[1] != "" && pair[3] == "" && d.lacks(join(section, pair[2])) {
			d.problem(d.where(key), key, "needs %s too: a certificate is of use with its key only", pair[2])
		}
	}
	if t.InsecureBecause != "" && t.CAFile != "" {
		d.problem(d.where(section+".insecureBecause"), join(section, "insecureBecause"),
			"switches off the check that caFile is for: leave one of them out")
	}
	if d.faultless(section) {
		d.files(section, (&kafka.Security{TLS: t.engine()}).Validate(), map[string]string{"TLS: CAFile: ": "caFile",
			"TLS: CertFile ": "certFile"})
	}
}

func (d *decoder) checkSASL(s *saslSection) {
	const section = "messaging.sasl"
	missing := func(key, why string) {
		if d.lacks(join(section, key)) {
			d.problem(d.where(section), join(section, key), "is missing: %s", why)
		}
	}
	extra := func(why string, keys ...string) {
		for _, key := range keys {
			if d.has(join(section, key)) {
				d.problem(d.where(join(section, key)), join(section, key), "%s: leave it out", why)
			}
		}
	}
	missing("mechanism", "give PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER, as the brokers have it")
	switch s.Mechanism {
	case "":
		return
	case string(kafka.OAuthBearer):
		missing("tokenFile", "OAUTHBEARER needs a file that holds the token")
		extra("is not for OAUTHBEARER, whose token says who it is", "user", "password", "passwordFile")
	default:
		missing("user", s.Mechanism+" needs a name")
		if d.lacks(section+".password") && d.lacks(section+".passwordFile") {
			d.problem(d.where(section), section, "has no password: give passwordFile, or set %s",
				variableOf(section+".password"))
		}
		extra("is for OAUTHBEARER only", "tokenFile")
	}
	if d.has(section+".password") && d.has(section+".passwordFile") {
		d.problem(d.where(section+".password"), section+".password",
			"is given, and passwordFile is too: leave one of them out")
	}
	if d.faultless(section) {
		d.files(section, (&kafka.Security{SASL: s.engine()}).Validate(),
			map[string]string{"SASL: PasswordFile: ": "passwordFile", "SASL: TokenFile: ": "tokenFile"})
	}
}

// needRegistry notes that a registry is missing which the program asks for.
func (d *decoder) needRegistry(doc *document) {
	if doc.Registry == nil && d.lacks("registry.urls") {
		d.problem(d.where("registry"), "registry.urls", noURLs, variableOf("registry.urls"))
	}
}

const noURLs = "is missing: give the address of the schema registry, or set %s"

func (d *decoder) checkRegistry(r *registrySection) {
	const section = "registry"
	if d.lacks(section + ".urls") {
		d.problem(d.where(section), section+".urls", noURLs, variableOf(section+".urls"))
	}
	either := func(key, other string) {
		if key, other := join(section, key), join(section, other); d.has(key) && d.has(other) {
			d.problem(d.where(key), key, "is given, and %s is too: leave one of them out",
				strings.TrimPrefix(other, section+"."))
		}
	}
	either("password", "passwordFile")
	either("token", "tokenFile")
	password := d.has(section+".password") || d.has(section+".passwordFile")
	for _, key := range []string{"token", "tokenFile"} {
		if key = join(section, key); d.has(key) && (password || d.has(section+".user")) {
			d.problem(d.where(key), key, "is in place of a user and password: leave one or the other out")
		}
	}
	switch {
	case password && d.lacks(section+".user"):
		d.problem(d.where(section), section+".user", "is missing: a password is somebody's")
	case !password && d.has(section+".user") && d.lacks(section+".password") && d.lacks(section+".passwordFile"):
		d.problem(d.where(section+".user"), section, "has no password: give passwordFile, or set %s",
			variableOf(section+".password"))
	}
	if r.TLS != nil {
		d.checkTLS(section+".tls", r.TLS)
		if len(r.URLs) > 0 && !slices.ContainsFunc(r.URLs, encrypted) {
			d.problem(d.where(section+".tls"), section+".tls",
				"is of use with https only, and no URL is: write https://, or leave it out")
		}
	}
	if d.faultless(section) {
		d.files(section, r.validate(), map[string]string{"PasswordFile: ": "passwordFile", "TokenFile: ": "tokenFile"})
	}
}

func encrypted(url string) bool { return strings.HasPrefix(url, "https://") }

// warnings are what works and should not be so.
func (r *registrySection) warnings() []string {
	var warnings []string
	if r.TLS != nil && r.TLS.InsecureBecause != "" {
		warnings = append(warnings, "TLS: the registry's certificate is not checked: "+r.TLS.InsecureBecause)
	}
	of := registry.Config{URLs: r.URLs, Username: r.User, Token: r.Token, TokenFile: r.TokenFile}
	return append(warnings, of.Warnings()...)
}

// files notes what is wrong with the content of files: those who read them know, and begin with the
// words of names.
func (d *decoder) files(section string, err error, names map[string]string) {
	if err == nil {
		return
	}
	for words, name := range names {
		if text, ok := strings.CutPrefix(err.Error(), words); ok {
			d.problem(d.where(join(section, name)), join(section, name), "%s", text)
			return
		}
	}
	d.problem(d.where(section), section, "%v", err)
}

// has reports whether a key is set, rightly or not.
func (d *decoder) has(key string) bool {
	_, ok := d.places[key]
	return ok
}

// lacks reports whether a key is not set, nor written in a way in which it was probably meant.
func (d *decoder) lacks(key string) bool {
	return !d.has(key) && !slices.ContainsFunc(d.unsure, func(k string) bool {
		return k == "" || key == k ||
			strings.HasPrefix(key, k+".")
	})
}

// faultless reports whether nothing in a section is a problem yet.
func (d *decoder) faultless(section string) bool {
	return !slices.ContainsFunc(d.problems, func(p Problem) bool { return strings.HasPrefix(p.Key, section) })
}

// topicSettings are Kafka's, so that a misspelt one is found. Brokers have further ones of their
// makers, which are let through.
var topicSettings = strings.Fields(`cleanup.policy compression.type compression.gzip.level compression.lz4.level compression.zstd.level delete.retention.ms
	file.delete.delay.ms flush.messages flush.ms follower.replication.throttled.replicas index.interval.bytes leader.replication.throttled.replicas
	local.retention.bytes local.retention.ms max.compaction.lag.ms max.message.bytes message.timestamp.after.max.ms message.timestamp.before.max.ms
	message.timestamp.type min.cleanable.dirty.ratio min.compaction.lag.ms min.insync.replicas preallocate remote.log.copy.disable
	remote.log.delete.on.disable remote.storage.enable retention.bytes retention.ms segment.bytes segment.index.bytes segment.jitter.ms segment.ms
	unclean.leader.election.enable`)

func (d *decoder) settings(path string, given map[string]string, all bool) {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		key := join(path, name)
		if near := d.nearest(name, topicSettings); near != "" && near != name {
			d.problem(d.where(key), key, "is no setting of topics: did you mean %s?", near).harmless = true
		}
		if all && slices.Contains(engine.ReservedSettings(), name) {
			d.problem(d.where(key), key,
				"of all topics would lose the engine's state or event times: give it to single outputs, in topics.of")
		}
	}
}

// checkNames holds the names of topics and tables against the plan.
func (d *decoder) checkNames(doc *document, plan *topology.Plan) {
	topics := engine.CreatedTopics(plan)
	for _, name := range slices.Sorted(maps.Keys(doc.Topics.Of)) {
		path := join("topics.of", name)
		output, known := topics[name]
		if !known {
			d.unknownName(path, name, slices.Sorted(maps.Keys(topics)), "the engine creates no such topic")
		}
		if output || !known {
			continue
		}
		if doc.Topics.Of[name].Partitions != 0 {
			d.problem(d.where(path+".partitions"), path+".partitions",
				"has no choice: it follows from the topics whose state is kept here; leave it out")
		}
		for _, setting := range engine.ReservedSettings() {
			if _, given := doc.Topics.Of[name].Settings[setting]; given {
				key := join(path+".settings", setting)
				d.problem(d.where(key), key, "cannot be set here: the engine's state depends on it; leave it out")
			}
		}
	}
	tables := engine.TableNames(plan)
	for _, name := range slices.Sorted(maps.Keys(doc.Tables.Of)) {
		if !slices.Contains(tables, name) {
			d.unknownName(join("tables.of", name), name, tables, "there is no such table")
		}
	}
}

func (d *decoder) unknownName(path, name string, names []string, what string) {
	text := what + ": there are " + oneOf(names)
	if near := d.nearest(name, names); near != "" {
		text = what + ": did you mean " + near + "?"
	}
	d.problem(d.where(path), path, "%s", text)
}
