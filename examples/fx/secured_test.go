package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

const (
	adminPassword = "the-admins-own"
	fxPassword    = "hunter2-is-secret"
)

// secureProperties turn the broker of .ci/kafka into one that encrypts, asks everybody who they
// are, and forbids what is not granted.
const secureProperties = `
listeners=SASL_SSL://127.0.0.1:@PORT@,CONTROLLER://127.0.0.1:@CONTROLLER@
advertised.listeners=SASL_SSL://127.0.0.1:@PORT@
inter.broker.listener.name=SASL_SSL
listener.security.protocol.map=SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512,OAUTHBEARER
sasl.mechanism.inter.broker.protocol=PLAIN
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="admin" password="%[1]s" user_admin="%[1]s";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="admin";
ssl.keystore.type=PEM
ssl.keystore.location=%[2]s
ssl.truststore.type=PEM
ssl.truststore.location=%[3]s
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:admin;User:ANONYMOUS
allow.everyone.if.no.acl.found=false
`

// securedCluster is a real broker of this test's own, and its administrator.
type securedCluster struct {
	address string
	ca      *kafkatest.Authority
	admin   *kgo.Client
}

func startSecured(t *testing.T) *securedCluster {
	t.Helper()
	if os.Getenv(kafkatest.Environment) == "" {
		t.Skip("starts a real Kafka: make kafka-test does it")
	}
	c := &securedCluster{ca: kafkatest.NewAuthority(t)}
	dir := t.TempDir()
	cert, key := c.ca.Issue(t, "broker")
	var both []byte
	for _, name := range []string{key, cert} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		both = append(both, text...)
	}
	keystore, properties := filepath.Join(dir, "broker.pem"), filepath.Join(dir, "secure.properties")
	require.NoError(t, os.WriteFile(keystore, both, 0o600))
	require.NoError(t, os.WriteFile(properties, fmt.Appendf(nil, secureProperties, adminPassword, keystore, c.ca.File),
		0o600))
	script := func(verb string) []byte {
		cmd := exec.Command("../../.ci/kafka", verb, filepath.Join(dir, "broker"))
		cmd.Env = append(os.Environ(), "ASHI_KAFKA_PROPERTIES="+properties, "ASHI_KAFKA_HEAP=512m",
			"ASHI_KAFKA_BROKERS=1")
		cmd.Stderr = t.Output()
		out, err := cmd.Output()
		require.NoError(t, err)
		return out
	}
	t.Cleanup(func() { script("stop") })
	c.address = strings.TrimSpace(string(script("start")))

	pool := x509.NewCertPool()
	text, err := os.ReadFile(c.ca.File)
	require.NoError(t, err)
	require.True(t, pool.AppendCertsFromPEM(text))
	c.admin, err = kgo.NewClient(kgo.SeedBrokers(c.address), kgo.DialTLSConfig(&tls.Config{RootCAs: pool}),
		kgo.SASL(plain.Auth{User: "admin", Pass: adminPassword}.AsMechanism()))
	require.NoError(t, err)
	t.Cleanup(c.admin.Close)
	altered, err := kadm.NewClient(c.admin).AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{
		{User: "fx", Mechanism: kadm.ScramSha512, Iterations: 4096, Password: fxPassword}})
	require.NoError(t, err)
	require.NoError(t, altered.Error())
	return c
}

// file writes a configuration.
func (c *securedCluster) file(t *testing.T, sasl string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "fx.yaml")
	text := fmt.Sprintf(
		"messaging:\n  brokers: [%q]\n  tls: {caFile: %s}\n  sasl: %s\ncore: {startTimeout: 5s, commitInterval: "+
			"100ms, maxAhead: none}\nlog: {core: debug, messaging: debug}\n", c.address, c.ca.File, sasl)
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

// granted reads what kafka-acls.sh commands grant.
func granted(t *testing.T, commands string) (all []kmsg.CreateACLsRequestCreation) {
	t.Helper()
	for line := range strings.Lines(commands) {
		words := strings.Fields(line)
		require.Equal(t, []string{"kafka-acls.sh", "--bootstrap-server"}, words[:2])
		a := kmsg.NewCreateACLsRequestCreation()
		a.ResourcePatternType, a.Host, a.PermissionType = kmsg.ACLResourcePatternTypeLiteral, "*",
			kmsg.ACLPermissionTypeAllow
		var operations []kmsg.ACLOperation
		for i := 3; i < len(words); i++ {
			switch flag := words[i]; flag {
			case "--add":
				continue
			case "--allow-principal":
				a.Principal = words[i+1]
			case "--operation":
				o, err := kmsg.ParseACLOperation(words[i+1])
				require.NoError(t, err)
				operations = append(operations, o)
			case "--topic", "--group", "--transactional-id":
				r, err := kmsg.ParseACLResourceType(strings.ReplaceAll(flag[2:], "-", "_"))
				require.NoError(t, err)
				a.ResourceType, a.ResourceName = r, words[i+1]
			case "--resource-pattern-type":
				require.Equal(t, "prefixed", words[i+1])
				a.ResourcePatternType = kmsg.ACLResourcePatternTypePrefixed
			default:
				require.Equal(t, "--command-config", flag)
			}
			i++
		}
		for _, o := range operations {
			a.Operation = o
			all = append(all, a)
		}
	}
	return all
}

// allow makes acls the only ones that there are, and returns when the broker goes by them.
func (c *securedCluster) allow(t *testing.T, acls []kmsg.CreateACLsRequestCreation) {
	t.Helper()
	clear := kmsg.NewPtrDeleteACLsRequest()
	every := kmsg.NewDeleteACLsRequestFilter()
	every.ResourceType, every.ResourcePatternType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
	every.Operation, every.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
	clear.Filters = append(clear.Filters, every)
	_, err := clear.RequestWith(t.Context(), c.admin)
	require.NoError(t, err)
	create := kmsg.NewPtrCreateACLsRequest()
	create.Creations = acls
	resp, err := create.RequestWith(t.Context(), c.admin)
	require.NoError(t, err)
	for _, r := range resp.Results {
		require.NoError(t, kerr.ErrorForCode(r.ErrorCode))
	}
	look := kmsg.NewPtrDescribeACLsRequest()
	look.ResourceType, look.ResourcePatternType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
	look.Operation, look.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
	require.Eventually(t, func() bool {
		found, err := look.RequestWith(t.Context(), c.admin)
		n := 0
		for _, r := range found.Resources {
			n += len(r.ACLs)
		}
		return err == nil && n == len(acls)
	}, 10*time.Second, 10*time.Millisecond)
}

// hourOfTicks is a file with a tick each ten minutes.
func hourOfTicks(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintln(&b, tickHeader)
	for minute := 0; minute < 60; minute += 10 {
		at := time.Date(2024, 5, 1, 0, minute, 0, 0, time.UTC).UnixMilli()
		fmt.Fprintf(&b, "EUR/USD,%d,1.%04d,1.%04d\n", at, 1000+minute, 1001+minute)
	}
	return gzipped(t, "20240501-ticks.csv.gz", b.String())
}

// On a real broker with TLS, SASL and access control the program runs with the permissions that it
// prints, and with one less it says which.
func TestSecured(t *testing.T) {
	c := startSecured(t)
	passwordFile := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(passwordFile, []byte(fxPassword+"\n"), 0o600))
	file := c.file(t, fmt.Sprintf("{mechanism: SCRAM-SHA-512, user: fx, passwordFile: %s}", passwordFile))
	run := func(t *testing.T, code int, app string, more ...string) string {
		t.Helper()
		out := program(t, code, append([]string{"-config", file, "-app", app, "-state", inMemory, "-partitions", "1"},
			more...)...)
		require.NotContains(t, out, fxPassword)
		return out
	}

	ticks := []string{hourOfTicks(t)}
	replays := func(t *testing.T, app string) {
		t.Helper()
		bars := t.TempDir()
		run(t, 0, app, "-ticks", ticks[0], "-bars", bars)
		requireBars(t, bars, ticks)
	}
	all := granted(t, run(t, 0, "fx", "-grants"))
	c.allow(t, all)
	replays(t, "fx")
	for i, missing := range all {
		if strings.Contains(missing.ResourceName, "min_") && !strings.Contains(missing.ResourceName, "_15min_") {
			continue // as the others, for another size
		}
		t.Run("without "+inWords(missing), func(t *testing.T) {
			app := fmt.Sprint("fx", i)
			without := granted(t, run(t, 0, app, "-grants"))
			if missing.Operation == kmsg.ACLOperationDescribeConfigs || missing.Operation == kmsg.ACLOperationRead &&
				strings.HasSuffix(missing.ResourceName, "-changelog") {
				c.allow(t, without) // topics that are there are looked at, and restored from
				interrupted(t, "-config", file, "-app", app, "-state", inMemory, "-partitions", "1", "-rate", "2",
					"-ticks", ticks[0])
			}
			words := inWords(without[i])
			c.allow(t, slices.Delete(without, i, i+1))
			began := time.Now()
			out := run(t, exitFailed, app, "-ticks", ticks[0])
			require.Contains(t, out, "this needs "+words+", which is not granted")
			require.Contains(t, out, "--add --allow-principal User:fx --operation "+
				words[:strings.IndexByte(words, ' ')]+" --")
			t.Logf("after %v: %s", time.Since(began).Round(10*time.Millisecond), said(out))
		})
	}
	c.allow(t, all)
	replays(t, "fx")
	c.credentials(t, file)
}

// inWords is what an error says of an ACL.
func inWords(a kmsg.CreateACLsRequestCreation) string {
	operation := map[kmsg.ACLOperation]kafka.Operation{kmsg.ACLOperationRead: kafka.Read,
		kmsg.ACLOperationWrite: kafka.Write, kmsg.ACLOperationCreate: kafka.Create,
		kmsg.ACLOperationDescribeConfigs: kafka.DescribeConfigs}[a.Operation]
	resource := map[kmsg.ACLResourceType]kafka.Resource{kmsg.ACLResourceTypeTopic: kafka.Topic,
		kmsg.ACLResourceTypeGroup:           kafka.GroupID,
		kmsg.ACLResourceTypeTransactionalId: kafka.TransactionalID}[a.ResourceType]
	return kafka.ACL{Resource: resource, Name: a.ResourceName,
		Prefix: a.ResourcePatternType == kmsg.ACLResourcePatternTypePrefixed, Operation: operation}.String()
}

// said is the program's last words, without log lines.
func said(out string) string { return out[strings.LastIndex(out, "\nfx: ")+1:] }

// interrupted runs the program until it has written something.
func interrupted(t *testing.T, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &signalling{written: make(chan struct{})}
	code := make(chan int, 1)
	go func() { code <- run(ctx, args, out, io.Discard) }()
	select {
	case <-out.written:
		cancel()
		require.Equal(t, exitCtrlC, <-code)
	case c := <-code:
		t.Fatalf("it ended by itself, with %d", c)
	}
}

// credentials tries others.
func (c *securedCluster) credentials(t *testing.T, file string) {
	fails := func(file, want string) {
		t.Helper()
		out := program(t, exitFailed, "-config", file, "-state", inMemory)
		require.Contains(t, said(out), want)
		require.NotContains(t, said(out), "no broker answers")
	}
	fails(c.file(t, "{mechanism: SCRAM-SHA-512, user: fx, password: wrong}"), "SASL_AUTHENTICATION_FAILED")
	fails(c.file(t, "{mechanism: SCRAM-SHA-256, user: fx, password: x}"), "UNSUPPORTED_SASL_MECHANISM")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	stranger := strings.Replace(string(text), c.ca.File, kafkatest.NewAuthority(t).File, 1)
	other := filepath.Join(t.TempDir(), "stranger.yaml")
	require.NoError(t, os.WriteFile(other, []byte(stranger), 0o600))
	fails(other, "certificate signed by unknown authority")

	// A token that nobody signed will do for this broker.
	part := func(json string) string { return base64.RawURLEncoding.EncodeToString([]byte(json)) }
	now := time.Now().Unix()
	token := part(`{"alg":"none"}`) + "." + part(fmt.Sprintf(`{"sub":"fx","iat":%d,"exp":%d}`, now, now+3600)) + "."
	tokenFile := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(tokenFile, []byte(token), 0o600))
	for _, s := range []kafka.SASL{{TokenFile: tokenFile},
		{Token: func(context.Context) (kafka.Secret, error) { return kafka.NewSecret(token), nil }}} {
		s.Mechanism = kafka.OAuthBearer
		admin, err := kafka.NewAdmin(kafka.Config{Brokers: []string{c.address},
			Security: kafka.Security{TLS: &kafka.TLS{CAFile: c.ca.File}, SASL: &s}})
		require.NoError(t, err)
		counts, err := admin.Partitions(t.Context(), "fx-rates")
		require.NoError(t, err)
		require.Equal(t, int32(1), counts["fx-rates"])
		admin.Close()
	}
}
