package config

import (
	"io"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/registry"
)

// engine is the configuration that a document stands for. What it leaves open stays open.
func (doc *document) engine(output io.Writer) engine.Config {
	c, m := &doc.Core, &doc.Messaging
	cfg := engine.Config{
		Brokers: m.Brokers, StateDir: c.StateDir, Log: doc.Log.logger(output),
		CommitInterval: c.CommitInterval, CommitBytes: int(c.CommitBytes), CheckpointInterval: c.CheckpointInterval,
		CheckpointBytes: int(c.CheckpointBytes), Memory: int(c.Memory), MaxAhead: c.MaxAhead,
		EveryUpdate: c.EveryUpdate, Standbys: int(c.Standbys), InstanceID: m.InstanceID, ClientID: m.ClientID,
		SessionTimeout: m.SessionTimeout, StartTimeout: c.StartTimeout, ReadyTimeout: c.ReadyTimeout, MaxLag: c.MaxLag,
		StatusAddr: c.StatusAddr, SlowAfter: c.SlowAfter, StuckAfter: c.StuckAfter,
		Client: kafka.Client{DialTimeout: m.DialTimeout, RequestTimeout: m.RequestTimeout, IdleTimeout: m.IdleTimeout,
			MetadataMaxAge: m.MetadataMaxAge, Compression: kafka.Compression(m.Compression),
			BatchBytes: int32(m.BatchBytes)},
		Replication: int16(doc.Topics.Replication), Topics: doc.Topics.engine(),
		Tables: doc.Tables.engine(), WithoutTables: doc.Tables.Off,
	}
	if c.Guarantee == engine.AtLeastOnce.String() {
		cfg.Guarantee = engine.AtLeastOnce
	}
	if c.OnPlanChange == engine.Rebuild.String() {
		cfg.OnPlanChange = engine.Rebuild
	}
	if m.TLS != nil {
		cfg.Security.TLS = m.TLS.engine()
	}
	if m.SASL != nil {
		cfg.Security.SASL = m.SASL.engine()
	}
	return cfg
}

func (t *tlsSection) engine() *kafka.TLS {
	return &kafka.TLS{CAFile: t.CAFile, CertFile: t.CertFile, KeyFile: t.KeyFile, ServerName: t.ServerName,
		InsecureBecause: t.InsecureBecause}
}

func (s *saslSection) engine() *kafka.SASL {
	return &kafka.SASL{Mechanism: kafka.Mechanism(s.Mechanism), User: s.User, Password: s.Password,
		PasswordFile: s.PasswordFile, TokenFile: s.TokenFile}
}

// registry is the client's configuration that a section stands for. The files of TLS have been read
// once before.
func (r *registrySection) registry() (registry.Config, error) {
	cfg := registry.Config{URLs: r.URLs, Username: r.User, Password: r.Password, PasswordFile: r.PasswordFile,
		Token: r.Token, TokenFile: r.TokenFile, Timeout: r.Timeout, Patience: r.Patience,
		LookupOnly: r.Register != nil && !*r.Register}
	if r.TLS == nil {
		return cfg, nil
	}
	var err error
	cfg.TLS, err = r.TLS.engine().Config()
	return cfg, err
}

func (r *registrySection) validate() error {
	cfg, err := r.registry()
	if err != nil {
		return err
	}
	return cfg.Validate()
}

func (t *topics) engine() engine.Topics {
	of := map[string]engine.TopicSettings{}
	for name, s := range t.Of {
		of[name] = engine.TopicSettings{Partitions: int32(s.Partitions), Replication: int16(s.Replication),
			Settings: s.Settings}
	}
	return engine.Topics{WithoutCreation: t.Create != nil && !*t.Create, Settings: t.Settings, Of: of}
}

func (t *tables) engine() engine.Tables {
	of := map[string]engine.TableSettings{}
	for name, s := range t.Of {
		of[name] = s.engine()
	}
	return engine.Tables{Memory: int(t.Memory), Default: t.Default.engine(), Of: of}
}

func (t *table) engine() engine.TableSettings {
	s := engine.TableSettings{Cache: int(t.Cache), Retention: t.Retention}
	switch {
	case t.Compression == nil:
	case *t.Compression:
		s.Compression = engine.CompressionOn
	default:
		s.Compression = engine.CompressionOff
	}
	return s
}
