package config

import (
	"time"

	"github.com/ashi-stream/ashi/engine/kafka"
)

// size is a number of bytes.
type size int

// level is a slog.Level by its name.
type level string

// document is the whole file. The tags of a field are all that is known about a key: the decoder,
// the environment and the reference in docs/configuration.md are made from them. key is its name,
// doc its meaning, default what the engine takes where it is not set, enum its values, min and max
// its bounds (both inclusive), none the value that "none" stands for, form what a text must be.
type document struct {
	Validation string           `key:"validation" enum:"strict,relaxed" default:"strict" doc:"strict: every problem is an error. relaxed: keys that are not known, and what does no harm, are logged as warnings."`
	Core       core             `key:"core" doc:"How the engine works."`
	Messaging  messaging        `key:"messaging" doc:"How the cluster is reached."`
	Registry   *registrySection `key:"registry" doc:"Where schemas are registered: for programs whose codecs are Registered, which ask for it with config.Registry."`
	Topics     topics           `key:"topics" doc:"How the topics are created that the engine writes."`
	Tables     tables           `key:"tables" doc:"How the tables of this process are kept."`
	Log        logging          `key:"log" doc:"What is logged to standard error. Levels are debug, info, warn and error."`
}

type core struct {
	StateDir           string        `key:"stateDir" default:"in memory" doc:"Folder of the stores. In memory they are rebuilt from Kafka at each start."`
	Guarantee          string        `key:"guarantee" enum:"exactly-once,at-least-once" default:"exactly-once" doc:"at-least-once is for brokers that forbid transactions."`
	CommitInterval     time.Duration `key:"commitInterval" default:"1s" min:"1ms" max:"30s" doc:"Time between commits, and so until results are seen. A transaction is open for as long."`
	CommitBytes        size          `key:"commitBytes" default:"64MiB" min:"64KiB" doc:"Results and changed rows that make a commit earlier."`
	CheckpointInterval time.Duration `key:"checkpointInterval" default:"30s" min:"10ms" doc:"Time between copies of changed rows into the stores. What is newer is restored from Kafka."`
	CheckpointBytes    size          `key:"checkpointBytes" default:"256MiB" min:"64KiB" doc:"Changed rows that make a checkpoint earlier."`
	Memory             size          `key:"memory" default:"512MiB" min:"16MiB" doc:"What all tasks of the process may take. Tables are not in it (tables.memory)."`
	MaxAhead           time.Duration `key:"maxAhead" default:"1h" min:"1ms" none:"-1" doc:"How far ahead of the clock an event time may be. Records beyond are dropped and counted."`
	EveryUpdate        bool          `key:"everyUpdate" default:"false" doc:"Put out every update of a row, not only the last one before each commit."`
	Standbys           int64         `key:"standbys" default:"0" min:"0" max:"32767" doc:"How many other processes keep a copy of each task's state, to go on soon where this one is lost."`
	OnPlanChange       string        `key:"onPlanChange" enum:"refuse,rebuild" default:"refuse" doc:"What becomes of a step with state that is not what it was. rebuild is for one deployment: it would hide the next change."`
	StartTimeout       time.Duration `key:"startTimeout" default:"15s" min:"100ms" doc:"How long a start waits for a broker."`
	ReadyTimeout       time.Duration `key:"readyTimeout" default:"15s" min:"100ms" none:"-1" doc:"How long a start waits for the tables, once brokers have answered."`
	MaxLag             int64         `key:"maxLag" default:"100000" min:"1" none:"9223372036854775807" doc:"Records that a partition of a table may be behind before the tables are not ready."`
	SlowAfter          time.Duration `key:"slowAfter" default:"30s" min:"100ms" doc:"How long one call of the program's code in a task may take before it is reported, and the tables are not ready. At most stuckAfter."`
	StuckAfter         time.Duration `key:"stuckAfter" default:"5m" min:"100ms" none:"-1" doc:"How long such a call may take before the process gives the task up and ends with an error."`
	StatusAddr         string        `key:"statusAddr" form:"listen" default:"not served" doc:"Where /healthz, /readyz and /status are served: host:port, or a port alone, which is 127.0.0.1's. Nobody is asked who they are."`
}

type messaging struct {
	Brokers        []string      `key:"brokers" form:"hostport" default:"required" doc:"Addresses to begin with, host:port."`
	ClientID       string        `key:"clientId" default:"the plan's name" doc:"What brokers know the connections by, for logs and quotas. Being slowed down by a quota is logged."`
	InstanceID     string        `key:"instanceId" default:"dynamic membership" doc:"Name of this process among those of the application, for static membership: restarted within sessionTimeout it takes up its own tasks. No two may have the same."`
	SessionTimeout time.Duration `key:"sessionTimeout" default:"45s" min:"100ms" max:"30m" doc:"How long a process may be silent before its partitions go to others. Brokers bound it, from 6s to 30m unless told otherwise."`
	DialTimeout    time.Duration `key:"dialTimeout" default:"10s" min:"100ms" max:"15m" doc:"How long a connection may take to be opened."`
	RequestTimeout time.Duration `key:"requestTimeout" default:"10s" min:"100ms" max:"15m" doc:"How long a broker may take to answer, beyond what a request itself allows."`
	IdleTimeout    time.Duration `key:"idleTimeout" default:"30s" min:"100ms" max:"15m" doc:"How long a connection that is not used is kept. Less than what a proxy in between allows."`
	MetadataMaxAge time.Duration `key:"metadataMaxAge" default:"5m" min:"100ms" max:"15m" doc:"How old what is known about topics may be while nothing fails."`
	Compression    string        `key:"compression" enum:"none,gzip,snappy,lz4,zstd" default:"none" doc:"Of what is written."`
	BatchBytes     size          `key:"batchBytes" default:"1000012" min:"1KiB" max:"1GiB" doc:"Largest batch of one partition before compression, and so the largest record, where the cluster does not tell max.message.bytes of a topic."`
	TLS            *tlsSection   `key:"tls" doc:"Encryption; the section alone, even if empty (tls: {}), switches it on. Files are PEM."`
	SASL           *saslSection  `key:"sasl" doc:"Who this process is. Files are read for each connection, so that their content may change."`
}

type tlsSection struct {
	CAFile          string `key:"caFile" form:"file" default:"the machine's" doc:"Certificates of those who sign the servers' certificates."`
	CertFile        string `key:"certFile" form:"file" doc:"This process's certificate, where clients are known by theirs. Read at each handshake."`
	KeyFile         string `key:"keyFile" form:"file" doc:"Its key."`
	ServerName      string `key:"serverName" default:"the host of the address" doc:"Whose certificate is expected."`
	InsecureBecause string `key:"insecureBecause" doc:"Why the servers' certificates are not checked. Anybody on the way can then read and change everything; each start warns."`
}

type saslSection struct {
	Mechanism    string       `key:"mechanism" enum:"PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER" default:"required" doc:"How this process proves who it is."`
	User         string       `key:"user" doc:"Not for OAUTHBEARER."`
	Password     kafka.Secret `key:"password" doc:"Better given as passwordFile, ${NAME}, or in the environment."`
	PasswordFile string       `key:"passwordFile" form:"file" doc:"A file that holds nothing but the password."`
	TokenFile    string       `key:"tokenFile" form:"file" doc:"For OAUTHBEARER: a file that holds the token, which something else renews. Programs that ask for tokens set kafka.SASL.Token."`
}

type registrySection struct {
	URLs         []string      `key:"urls" form:"url" default:"required" doc:"Addresses of one registry, http:// or https://. Where one cannot be connected to, the next is asked."`
	User         string        `key:"user" doc:"For basic authentication: the name, or the key that the registry gave out."`
	Password     kafka.Secret  `key:"password" doc:"Better given as passwordFile, ${NAME}, or in the environment."`
	PasswordFile string        `key:"passwordFile" form:"file" doc:"A file that holds nothing but the password. Read for each request."`
	Token        kafka.Secret  `key:"token" doc:"For bearer tokens, in place of a user."`
	TokenFile    string        `key:"tokenFile" form:"file" doc:"A file that holds the token, which something else renews. Read for each request."`
	TLS          *tlsSection   `key:"tls" doc:"For https, where the machine's certificates are not enough. Files are PEM."`
	Timeout      time.Duration `key:"timeout" default:"5s" min:"100ms" max:"15m" doc:"How long a request may take."`
	Patience     time.Duration `key:"patience" default:"10s" min:"100ms" max:"15m" doc:"How long a registry that does not answer is asked again, before a partition begins anew from its last commit."`
	Register     *bool         `key:"register" default:"true" doc:"false leaves registration to others (registry.Config.LookupOnly): schemas are looked up, and one that is missing is an error with the command that registers it."`
}

type topics struct {
	Create      *bool             `key:"create" default:"true" doc:"false leaves creation to an administrator: a start without one of the topics fails with the commands that create them."`
	Replication int64             `key:"replication" default:"the broker's" min:"1" max:"32767" doc:"Copies of each partition."`
	Settings    map[string]string `key:"settings" doc:"Settings of all topics, by Kafka's names, such as min.insync.replicas. How long records are kept is a matter of single topics."`
	Of          map[string]topic  `key:"of" doc:"Single topics, by name."`
}

type topic struct {
	Partitions  int64             `key:"partitions" default:"those of its source" min:"1" max:"100000" doc:"Of an output. Changelogs and internal topics have no choice."`
	Replication int64             `key:"replication" default:"topics.replication" min:"1" max:"32767" doc:"Copies of each partition."`
	Settings    map[string]string `key:"settings" doc:"Stronger than topics.settings. cleanup.policy, retention.ms, retention.bytes and message.timestamp.type are for outputs only."`
}

type tables struct {
	Off     string           `key:"off" doc:"Why this process has no tables. Each start warns."`
	Memory  size             `key:"memory" default:"core.memory" min:"1MiB" doc:"Bound of all tables together."`
	Default table            `key:"default" doc:"Every table."`
	Of      map[string]table `key:"of" doc:"Single tables, by the names that the plan prints: rates/main, rates/window_15min. Looked up in this order: the window, main of its folder, default."`
}

type table struct {
	Cache       size          `key:"cache" default:"256MiB for main, 64MiB for others" min:"1MiB" doc:"What the store may keep in memory."`
	Compression *bool         `key:"compression" default:"true" doc:"Of what is on disk (LZ4)."`
	Retention   time.Duration `key:"retention" default:"168h" min:"1ms" none:"-1" doc:"How long rows of windows are kept, in event time."`
}

type logging struct {
	Format        string `key:"format" enum:"text,json" default:"text" doc:"One line for each event."`
	Core          level  `key:"core" enum:"debug,info,warn,error" default:"info" doc:"Lines of the engine, its tasks and tables."`
	Messaging     level  `key:"messaging" enum:"debug,info,warn,error" default:"info" doc:"Lines about brokers, groups and topics."`
	Serialization level  `key:"serialization" enum:"debug,info,warn,error" default:"info" doc:"Lines about records that cannot be decoded."`
}
