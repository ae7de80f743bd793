package kafka

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// ErrDenied says that the cluster's access control does not allow what was asked. The error is a
// *DeniedError.
var ErrDenied = errors.New("kafka: not authorized")

// Resource is a kind of thing that access is granted to, as kafka-acls.sh names it.
type Resource string

// The resources.
const (
	Topic           Resource = "topic"
	GroupID         Resource = "group"
	TransactionalID Resource = "transactional-id"
	Cluster         Resource = "cluster"
)

// Operation is what may be done with a resource, as kafka-acls.sh names it. Read, Write and Delete
// include Describe.
type Operation string

// The operations.
const (
	Read            Operation = "Read"
	Write           Operation = "Write"
	Create          Operation = "Create"
	Delete          Operation = "Delete"
	Alter           Operation = "Alter"
	Describe        Operation = "Describe"
	DescribeConfigs Operation = "DescribeConfigs"
	IdempotentWrite Operation = "IdempotentWrite"
)

// ACL is one permission.
type ACL struct {
	Resource  Resource
	Name      string // empty for Cluster
	Prefix    bool   // all names that begin with Name
	Operation Operation
}

// String is the permission in words.
func (a ACL) String() string {
	switch {
	case a.Resource == Cluster:
		return fmt.Sprintf("%s on the cluster", a.Operation)
	case a.Prefix:
		return fmt.Sprintf("%s on each %s that begins with %s", a.Operation, a.Resource, a.Name)
	}
	return fmt.Sprintf("%s on %s %s", a.Operation, a.Resource, a.Name)
}

// Within reports whether other allows all that a does.
func (a ACL) Within(other ACL) bool { return other.gives(a) }

// gives reports whether a allows what want does.
func (a ACL) gives(want ACL) bool {
	named := a == want || a.Name == want.Name && !want.Prefix || a.Prefix && strings.HasPrefix(want.Name, a.Name)
	implied := want.Operation == Describe && slices.Contains([]Operation{Read, Write, Delete}, a.Operation)
	return a.Resource == want.Resource && named && (a.Operation == want.Operation || implied)
}

// adminConfig stands for the file with the administrator's own credentials.
const adminConfig = "admin.properties"

// GrantCommands are the commands with which an administrator gives acls to principal, one for each
// resource, in a fixed order. admin.properties in them stands for the file with the administrator's
// own settings.
func GrantCommands(brokers []string, principal string, acls []ACL) []string {
	type resource struct {
		Resource
		name   string
		prefix bool
	}
	operations := map[resource][]Operation{}
	for _, a := range acls {
		r := resource{a.Resource, a.Name, a.Prefix}
		if !slices.Contains(operations[r], a.Operation) {
			operations[r] = append(operations[r], a.Operation)
		}
	}
	order := make([]resource, 0, len(operations))
	for r := range operations {
		order = append(order, r)
	}
	slices.SortFunc(order, func(a, b resource) int {
		return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.name, b.name))
	})
	var commands []string
	for _, r := range order {
		words := []string{"kafka-acls.sh --bootstrap-server", bootstrap(brokers), "--command-config", adminConfig,
			"--add --allow-principal", quote(principal)}
		slices.Sort(operations[r])
		for _, o := range operations[r] {
			words = append(words, "--operation", string(o))
		}
		words = append(words, "--"+string(r.Resource))
		if r.Resource != Cluster {
			words = append(words, quote(r.name))
		}
		if r.prefix {
			words = append(words, "--resource-pattern-type prefixed")
		}
		commands = append(commands, strings.Join(words, " "))
	}
	return commands
}

func bootstrap(brokers []string) string { return quote(strings.Join(brokers, ",")) }

var plainWord = regexp.MustCompile(`^[A-Za-z0-9._:,=@/-]+$`)

// quote makes s one word of a shell.
func quote(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// DeniedError is an ErrDenied that knows what is missing.
type DeniedError struct {
	// Missing are the permissions of which one is missing at least: those that the plan needs and
	// that would allow it, or else the one that was asked for.
	Missing []ACL
	// Commands grant them.
	Commands []string

	cause error
}

// Error names what is missing, and how to grant it.
func (e *DeniedError) Error() string {
	if len(e.Commands) == 0 {
		return e.cause.Error() // until somebody knows who asked, and what else is needed
	}
	missing := make([]string, len(e.Missing))
	for i, a := range e.Missing {
		missing[i] = a.String()
	}
	return fmt.Sprintf("%v: this needs %s, which is not granted; an administrator grants it by\n\t%s", e.cause,
		strings.Join(missing, " and "), strings.Join(e.Commands, "\n\t"))
}

// Unwrap is ErrDenied and the cause.
func (e *DeniedError) Unwrap() []error { return []error{ErrDenied, e.cause} }

// denied makes an error of access control, which names nothing, one that names the first of asked
// that it can be about. Others stay as they are.
func denied(err error, asked ...ACL) error {
	var already *DeniedError
	if err == nil || errors.As(err, &already) {
		return err
	}
	refusals := map[Resource]error{
		Topic:           kerr.TopicAuthorizationFailed,
		GroupID:         kerr.GroupAuthorizationFailed,
		TransactionalID: kerr.TransactionalIDAuthorizationFailed,
		Cluster:         kerr.ClusterAuthorizationFailed,
	}
	for _, a := range asked {
		if errors.Is(err, refusals[a.Resource]) {
			return &DeniedError{Missing: []ACL{a}, cause: err}
		}
	}
	return err
}

// Advise adds to an error of access control what is missing, by c.Needs, and the command that
// grants it. Asked are permissions that the error can be about, for errors that do not say it.
// Other errors, and nil, are returned as they are.
func (c Config) Advise(err error, asked ...ACL) error {
	err = denied(err, asked...)
	var d *DeniedError
	if !errors.As(err, &d) || len(d.Commands) > 0 {
		return err
	}
	missing := d.Missing
	var needed []ACL
	for _, need := range c.Needs {
		if slices.ContainsFunc(missing, need.gives) && !slices.Contains(needed, need) {
			needed = append(needed, need)
		}
	}
	if needed != nil {
		missing = needed
	}
	return &DeniedError{Missing: missing, Commands: GrantCommands(c.Brokers, c.Principal(), missing), cause: err}
}

// Principal is the name by which the cluster's access control knows this process, as far as it can
// be told from c: User:NAME stands for one that only the cluster knows, from a certificate or a
// token.
func (c Config) Principal() string {
	if c.Security.SASL == nil || c.Security.SASL.User == "" {
		return "User:NAME"
	}
	return "User:" + c.Security.SASL.User
}
