package cluster

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// repeatAfter is how long one complaint is not repeated as a warning: a
	// connection that tries again for ever says the same every two seconds, and
	// a slow subscription a thousand times a second.
	repeatAfter = time.Minute
	// saidMax bounds the complaints remembered.
	saidMax = 64
)

// reporter logs what becomes of a connection. nats.go calls it from one
// goroutine, its micro package from another.
type reporter struct {
	log  *slog.Logger
	mu   sync.Mutex
	said map[string]time.Time
}

// level is that of a complaint made now: a warning, or debug when it repeats one.
func (r *reporter) level(complaint string, now time.Time) slog.Level {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.said[complaint]; ok && now.Sub(at) < repeatAfter {
		return slog.LevelDebug
	}
	if len(r.said) >= saidMax {
		clear(r.said)
	}
	r.said[complaint] = now
	return slog.LevelWarn
}

// complain logs words and err about something, "" for the connection itself.
func (r *reporter) complain(words, about string, err error, attrs ...any) {
	level := r.level(words+about+err.Error(), time.Now())
	r.log.Log(context.Background(), level, words, append(attrs, "error", err)...)
}

func (r *reporter) connected(nc *nats.Conn) {
	r.mu.Lock()
	clear(r.said) // the next loss is news
	r.mu.Unlock()
	r.log.Info("connected to NATS", "url", Redact(nc.ConnectedUrl()),
		"server", nc.ConnectedServerName(), "version", nc.ConnectedServerVersion())
}

func (r *reporter) disconnected(nc *nats.Conn, err error) {
	if nc.IsClosed() { // by us
		r.log.Debug("NATS connection closed")
		return
	}
	if err == nil {
		err = errors.New("reconnecting on request")
	}
	r.log.Warn("NATS connection lost, trying again", "error", err)
}

func (r *reporter) attemptFailed(_ *nats.Conn, err error) {
	r.complain("NATS cannot be reached, trying again", "", err)
}

func (r *reporter) failed(_ *nats.Conn, sub *nats.Subscription, err error) {
	if sub == nil {
		r.complain("NATS reports an error", "", err)
		return
	}
	dropped, _ := sub.Dropped()
	words := "NATS subscription reports an error"
	if errors.Is(err, nats.ErrSlowConsumer) {
		words = "NATS subscription is too slow, messages were dropped"
	}
	r.complain(words, sub.Subject, err, "subject", sub.Subject, "queue", sub.Queue, "dropped", dropped)
}
