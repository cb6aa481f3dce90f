package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
)

// serverLog is nats-server's logger. Its notices are details here, so they are
// debug; its own debug and trace lines stay off.
type serverLog struct {
	log *slog.Logger
	// fatal is the first fatal line. nats-server says in no other way why it did
	// not start; its own logger ends the process there.
	fatal atomic.Pointer[string]
}

func (l *serverLog) say(level slog.Level, format string, args []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, fmt.Sprintf(format, args...))
	}
}

func (l *serverLog) Noticef(format string, v ...any) { l.say(slog.LevelDebug, format, v) }
func (l *serverLog) Warnf(format string, v ...any)   { l.say(slog.LevelWarn, format, v) }
func (l *serverLog) Errorf(format string, v ...any)  { l.say(slog.LevelError, format, v) }
func (l *serverLog) Debugf(string, ...any)           {}
func (l *serverLog) Tracef(string, ...any)           {}

func (l *serverLog) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.fatal.CompareAndSwap(nil, &text)
	l.log.Error(text)
}
