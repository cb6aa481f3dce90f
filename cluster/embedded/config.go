package embedded

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"

	"github.com/understudy-go/understudy/messages"
)

// Defaults of [Config].
//
// The limits are small on purpose. nats-server by itself takes three quarters of
// the machine's memory and of its free disk, which a program that runs beside
// the services it guards must not do. Understudy keeps everything in files:
// events, queued requests, dead letters and two small buckets, so memory is for
// what users make themselves.
const (
	DefaultListen    = "127.0.0.1:4222"
	DefaultStore     = "./understudy-data"
	DefaultName      = "understudy"
	DefaultMaxMemory = 64 << 20
	DefaultMaxStore  = 1 << 30

	limitMin = 1 << 20
)

// Config is the block nats.embedded. Its zero value is a server for this machine
// alone, on 127.0.0.1:4222.
type Config struct {
	// Listen is where clients connect, as host:port. Port 0 or -1 takes a free
	// one. A host other than loopback needs User and Password, or Token.
	// Zero: 127.0.0.1:4222.
	Listen string `yaml:"listen"`
	// Store is the directory of JetStream's files and of the lock. It is made,
	// for this user alone, where there is none. Zero: ./understudy-data.
	Store string `yaml:"store"`
	// MaxMemory bounds streams kept in memory, all together, in bytes. Zero:
	// 64 MiB. At least 1 MiB; it cannot be turned off.
	MaxMemory int64 `yaml:"max_memory"`
	// MaxStore bounds streams kept in files, all together, in bytes. Zero: 1 GiB.
	// At least 1 MiB; it cannot be turned off.
	MaxStore int64 `yaml:"max_store"`
	// Name is the server's name, unique in a NATS cluster. Zero: understudy.
	Name string `yaml:"name"`
	// User and Password, both or neither, are what clients must show. Zero: none.
	// The password is plain text, not a bcrypt hash: the process itself needs it.
	User     string `yaml:"user"`
	Password string `yaml:"password"`
	// Token is what clients must show instead of User and Password. Plain text
	// too. Zero: none.
	Token string `yaml:"token"`
}

// WithDefaults returns c with its zero fields filled in.
func (c Config) WithDefaults() Config {
	if c.Listen == "" {
		c.Listen = DefaultListen
	}
	if c.Store == "" {
		c.Store = DefaultStore
	}
	if c.MaxMemory == 0 {
		c.MaxMemory = DefaultMaxMemory
	}
	if c.MaxStore == 0 {
		c.MaxStore = DefaultMaxStore
	}
	if c.Name == "" {
		c.Name = DefaultName
	}
	return c
}

// Validate reports every fault of c, after WithDefaults.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	secured := c.User != "" && c.Password != "" || c.Token != ""
	if host, _, err := splitListen(c.Listen); err != nil {
		fault("listen: %w", err)
	} else if !loopback(host) && !secured {
		fault("listen: %s is open to the network, and anyone there could send requests: "+
			"set user and password, or token, or listen on 127.0.0.1", c.Listen)
	}
	if c.MaxMemory < limitMin {
		fault("max_memory: %d is less than %d bytes (1 MiB), and it cannot be turned off", c.MaxMemory, limitMin)
	}
	if c.MaxStore < limitMin {
		fault("max_store: %d is less than %d bytes (1 MiB), and it cannot be turned off", c.MaxStore, limitMin)
	}
	if err := messages.CheckName(c.Name); err != nil {
		fault("name: %w", err)
	}
	if (c.User == "") != (c.Password == "") {
		fault("user: goes with password, one of the two is missing")
	}
	if c.User != "" && c.Token != "" {
		fault("token: give either token, or user and password")
	}
	if hashed.MatchString(c.Password) {
		fault("password: looks like a bcrypt hash, plain text is needed")
	}
	if hashed.MatchString(c.Token) {
		fault("token: looks like a bcrypt hash, plain text is needed")
	}
	return errors.Join(faults...)
}

// splitListen returns host and port; the port is 0 for "a free one".
func splitListen(listen string) (host string, port int, err error) {
	host, digits, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, fmt.Errorf("%q is not host:port", listen)
	}
	port, err = strconv.Atoi(digits)
	if err != nil || port < -1 || port > 65535 {
		return "", 0, fmt.Errorf("%q has no port between -1 and 65535", listen)
	}
	return host, max(port, 0), nil
}

// loopback is true only where it is certain without asking a name server.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// dialable is the address at which a program on this machine reaches a listener
// at host: one that listens on every interface is there on loopback too.
func dialable(host string, port int) string {
	if addr, err := netip.ParseAddr(host); host == "" || err == nil && addr.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// hashed is nats-server's own test: it takes a secret of this shape for a hash
// of the one that clients show.
var hashed = regexp.MustCompile(`^\$2[abxy]\$\d{2}\$`)
