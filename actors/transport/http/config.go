package http

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"
)

// off is how a configuration turns a number off.
const off = -1

// Pool bounds the connections to one endpoint. The zero value is the default.
type Pool struct {
	// Max is how many connections there may be at once, those being made included.
	// Over it a request waits within its deadline, then it is OVERLOADED. HTTP/2
	// needs one for about a hundred requests at once. At least 1; zero: 100; -1: no
	// bound.
	Max int `yaml:"max"`

	// MaxIdle is how many of them are kept while nobody needs them. At least 1;
	// zero: 100; -1: none, each request makes its own.
	MaxIdle int `yaml:"max_idle"`

	// IdleTimeout is how long an idle one is kept. Best below the time after which
	// the endpoint closes it. At least 1ms; zero: 90s, as in net/http; cannot be off.
	IdleTimeout time.Duration `yaml:"idle_timeout"`

	// ConnectTimeout bounds making one: name resolution and TCP, then the TLS
	// handshake for as long again. At least 1ms; zero: 1s; cannot be off, because a
	// dial goes on without the request that began it, for the next one.
	ConnectTimeout time.Duration `yaml:"connect_timeout"`
}

// WithDefaults returns p with every zero field filled in.
func (p Pool) WithDefaults() Pool {
	if p.Max == 0 {
		p.Max = 100
	}
	if p.MaxIdle == 0 {
		p.MaxIdle = 100
	}
	if p.IdleTimeout == 0 {
		p.IdleTimeout = 90 * time.Second
	}
	if p.ConnectTimeout == 0 {
		p.ConnectTimeout = time.Second
	}
	return p
}

// Validate joins everything that is wrong with p, or returns nil.
func (p Pool) Validate() error {
	p = p.WithDefaults()
	var faults []error
	count := func(field string, n int) {
		if n < 1 && n != off {
			faults = append(faults, fmt.Errorf("%s: must be at least 1, or off, is %d", field, n))
		}
	}
	span := func(field string, d time.Duration) {
		switch {
		case d == off:
			faults = append(faults, fmt.Errorf("%s: cannot be off", field))
		case d < time.Millisecond:
			faults = append(faults, fmt.Errorf("%s: must be at least 1ms, is %v", field, d))
		}
	}
	count("max", p.Max)
	count("max_idle", p.MaxIdle)
	span("idle_timeout", p.IdleTimeout)
	span("connect_timeout", p.ConnectTimeout)
	return errors.Join(faults...)
}

// TLS says whom to trust and who we are. The zero value trusts the system's
// authorities, shows no certificate and wants TLS 1.2 or newer. The files are PEM
// and read once, by [NewFactory]; a reload reads them again.
type TLS struct {
	// CA is a file with the authorities to trust in place of the system's.
	CA string `yaml:"ca"`

	// Cert and Key are the files of the client's certificate, with its chain, and
	// of its key. Both or none.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`

	// ServerName is the name that the endpoint's certificate must have. Zero: the
	// host of its URL.
	ServerName string `yaml:"server_name"`
}

// Validate joins everything that is wrong with t, or returns nil. It reads no file.
func (t TLS) Validate() error {
	switch {
	case t.Cert != "" && t.Key == "":
		return errors.New("key: cannot be empty where cert is set")
	case t.Key != "" && t.Cert == "":
		return errors.New("cert: cannot be empty where key is set")
	}
	return nil
}

// load reads the files. No error quotes what is in them.
func (t TLS) load() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	var faults []error
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		c.RootCAs = x509.NewCertPool()
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("ca: %w", err))
		case !c.RootCAs.AppendCertsFromPEM(pem):
			faults = append(faults, fmt.Errorf("ca: %s holds no certificate", t.CA))
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			faults = append(faults, fmt.Errorf("cert: %w", err))
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, errors.Join(faults...)
}
