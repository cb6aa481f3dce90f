package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/understudy-go/understudy/messages"
)

// A dead link is noticed when a third ping is due and two are unanswered, 15 s
// at most. nats.go's own two minutes would leave a node deaf for six.
const (
	pingInterval = 5 * time.Second
	pingsOutMax  = 2
)

// UnreachableError says that no NATS server could be connected to, for a reason
// that may pass by itself: nobody listens, no answer in time, a failed TLS
// handshake, no room. A refusal of our credentials is UNAUTHORIZED instead.
type UnreachableError struct {
	URL string // without credentials
	Err error
}

func (e *UnreachableError) Error() string {
	if errors.Is(e.Err, nats.ErrNoServers) { // nats.go's word for "connection refused"
		return "no NATS server answers at " + e.URL
	}
	return fmt.Sprintf("cannot connect to NATS at %s: %v", e.URL, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// Connect connects to NATS. The connection outlives any loss of its server: it
// tries again for ever, and meanwhile refuses to publish instead of keeping
// requests that would run late. opts come last and win; a nil logger keeps it
// silent.
//
// A command gets an error at once when no server answers. A node adds
// [nats.RetryOnFailedConnect](true) and gets a connection that is not connected
// yet, keeps trying whatever the reason, says so in the log, and can be
// subscribed on already. Whether it is connected, [nats.Conn.Status] and
// [nats.Conn.StatusChanged] say.
//
// Errors: a [messages.Error] with INVALID_CONFIG (a file that cannot be read
// too) or UNAUTHORIZED, or an [UnreachableError].
func Connect(cfg Config, log *slog.Logger, opts ...nats.Option) (*nats.Conn, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, &messages.Error{Code: messages.CodeInvalidConfig, Err: err}
	}
	o := steady(log)
	if err := cfg.apply(&o); err != nil {
		return nil, &messages.Error{Code: messages.CodeInvalidConfig, Err: err}
	}
	for _, opt := range opts {
		if err := opt(&o); err != nil {
			return nil, &messages.Error{Code: messages.CodeInvalidConfig, Err: err}
		}
	}
	nc, err := o.Connect()
	if err != nil {
		return nil, connectError(o, err)
	}
	return nc, nil
}

// steady are the options of a connection that is meant to stay.
func steady(log *slog.Logger) nats.Options {
	o := nats.GetDefaultOptions()
	o.Name = "understudy"
	o.MaxReconnect = -1
	o.IgnoreAuthErrorAbort = true // else two refusals in a row end it for good
	o.ReconnectBufSize = -1
	o.PingInterval = pingInterval
	o.MaxPingsOut = pingsOutMax
	r := &reporter{log: log, said: map[string]time.Time{}}
	o.ConnectedCB = r.connected
	o.ReconnectedCB = r.connected
	o.DisconnectedErrCB = r.disconnected
	o.ReconnectErrCB = r.attemptFailed
	o.AsyncErrorCB = r.failed
	return o
}

// apply sets what the configuration says. The files are read once here, so that
// a wrong path is an error now and not an attempt repeated for ever.
func (c Config) apply(o *nats.Options) error {
	o.Servers = servers(c.URL)
	o.User, o.Password, o.Token = c.User, c.Password, c.Token
	var faults []error
	try := func(field string, err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", field, err))
		}
	}
	if c.Creds != "" {
		try("creds", credentials(c.Creds)(o))
	}
	if c.NKey != "" {
		opt, err := nats.NkeyOptionFromSeed(c.NKey)
		if err == nil {
			err = opt(o)
		}
		try("nkey", err)
	}
	if c.TLS.CA != "" {
		try("tls.ca", nats.RootCAs(c.TLS.CA)(o))
	}
	if c.TLS.Cert != "" {
		try("tls.cert", nats.ClientCert(c.TLS.Cert, c.TLS.Key)(o))
	}
	return errors.Join(faults...)
}

// credentials is nats.UserCredentials that looks into its file now: for both
// halves, the user and the seed that signs for it.
func credentials(path string) nats.Option {
	return func(o *nats.Options) error {
		if err := nats.UserCredentials(path)(o); err != nil {
			return err
		}
		if _, err := o.UserJWT(); err != nil {
			return err
		}
		_, err := o.SignatureCB(nil)
		return err
	}
}

// connectError sorts what nats.go says about a connection that did not come up.
func connectError(o nats.Options, err error) error {
	addr := Redact(strings.Join(o.Servers, ","))
	if o.Url != "" {
		addr = Redact(o.Url)
	}
	for _, refusal := range []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired, nats.ErrNkeysNotSupported} {
		if errors.Is(err, refusal) {
			return &messages.Error{Code: messages.CodeUnauthorized, Words: "NATS at " + addr + " refuses these credentials", Err: err}
		}
	}
	return &UnreachableError{URL: addr, Err: err}
}

// Drain takes in no more messages, lets the handlers finish what is there,
// sends what is to be sent and closes the connection. When ctx ends first, or
// nats.go's own bound of 30 s, it closes at once and returns an error, since
// messages may be lost. A connection that is closed, or has no server to drain
// to, is closed without one.
func Drain(ctx context.Context, nc *nats.Conn) error {
	closed := nc.StatusChanged(nats.CLOSED)
	defer nc.RemoveStatusListener(closed)
	err := nc.Drain()
	if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrConnectionReconnecting) {
		return nil
	}
	if err != nil {
		return err
	}
	select {
	case <-closed:
		if errors.Is(nc.LastError(), nats.ErrDrainTimeout) {
			return nats.ErrDrainTimeout
		}
		return nil
	case <-ctx.Done():
		nc.Close()
		return fmt.Errorf("NATS connection closed before it was drained: %w", context.Cause(ctx))
	}
}
