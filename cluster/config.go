package cluster

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
)

// Config says how to reach NATS: the block nats without nats.embedded, which the
// config package adds. Its zero value is the server on this machine, without
// credentials.
type Config struct {
	// URL is where the server is; several of one cluster are separated by
	// commas. Schemes: nats, tls (which refuses a server without TLS), ws, wss.
	// Credentials may stand in it, but not beside one of the fields below.
	// Zero: nats://127.0.0.1:4222.
	URL string `yaml:"url"`
	// User and Password. Zero: none.
	User     string `yaml:"user"`
	Password string `yaml:"password"`
	// Token is a secret instead of a user. Zero: none.
	Token string `yaml:"token"`
	// Creds is the path of a credentials file (a JWT and its seed), as nsc
	// writes it. It is read again at each connect. Zero: none.
	Creds string `yaml:"creds"`
	// NKey is the path of a file with a user's seed. It is read again at each
	// connect. Zero: none.
	NKey string `yaml:"nkey"`
	// TLS is needed where the server's certificate is not one that the system
	// trusts, or where it asks for ours.
	TLS TLS `yaml:"tls"`
}

// TLS holds paths of PEM files, which are read again at each connect. Any of
// them turns TLS on, and a server without it is refused.
type TLS struct {
	// CA has the certificates that may sign the server's. Zero: the system's.
	CA string `yaml:"ca"`
	// Cert and Key, both or neither, are what we show the server. Zero: nothing.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// WithDefaults returns c with its zero fields filled in.
func (c Config) WithDefaults() Config {
	if c.URL == "" {
		c.URL = nats.DefaultURL
	}
	return c
}

// Validate reports every fault of c, after WithDefaults. Its words hold no secret.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	var ways []string // to say who we are
	for _, part := range servers(c.URL) {
		u, err := parseServer(part)
		if err != nil {
			fault("url: %w", err)
		} else if u.User != nil && !slices.Contains(ways, "credentials in url") {
			ways = append(ways, "credentials in url")
		}
	}
	if len(servers(c.URL)) == 0 {
		fault("url: names no server")
	}
	for _, way := range []struct{ name, value string }{
		{"user", c.User}, {"token", c.Token}, {"creds", c.Creds}, {"nkey", c.NKey},
	} {
		if way.value != "" {
			ways = append(ways, way.name)
		}
	}
	if len(ways) > 1 {
		fault("%s: only one of them can be used", strings.Join(ways, ", "))
	}
	if c.Password != "" && c.User == "" {
		fault("password: goes with user, which is missing")
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		fault("tls.cert: goes with tls.key, one of the two is missing")
	}
	return errors.Join(faults...)
}

// servers are the addresses in a list, as nats.go takes it apart.
func servers(list string) []string {
	var parts []string
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// parseServer reads one address. Its errors do not quote it, as net/url's own
// do: whatever cannot be read may be a password in the wrong place.
func parseServer(address string) (*url.URL, error) {
	if !strings.Contains(address, "://") {
		address = "nats://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return nil, errors.New("is not an address like nats://host:4222")
	}
	if !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
		return nil, fmt.Errorf("has the unknown scheme %q: nats, tls, ws or wss is needed", u.Scheme)
	}
	return u, nil
}

// Redact returns an address, or a list of them, without what stands before an
// "@": user, password or token. ([url.URL.Redacted] shows a token, which stands
// where a user does, and needs an address that can be parsed.) Where a list is
// ambiguous, it hides too much.
func Redact(list string) string {
	pieces := strings.Split(list, "@")
	for i, piece := range pieces[:len(pieces)-1] {
		if scheme, _, found := strings.Cut(piece, "://"); found {
			pieces[i] = scheme + "://xxxxx"
		} else if host, _, found := strings.Cut(piece, ","); found && i > 0 {
			pieces[i] = host + ",xxxxx"
		} else {
			pieces[i] = "xxxxx"
		}
	}
	return strings.Join(pieces, "@")
}
