package main

import (
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/pflag"
)

// logging is how a node's log is written, to standard error.
type logging struct{ level, format string }

func (l *logging) flags(f *pflag.FlagSet, level string) {
	f.StringVar(&l.level, "log-level", level, "`level` of the log: debug, info, warn or error")
	f.StringVar(&l.format, "log-format", "text", "`format` of the log: text or json")
}

func (l *logging) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.level)); err != nil || strings.ContainsAny(l.level, "+-") {
		return nil, usagef("--log-level %s: debug, info, warn or error is needed", l.level)
	}
	options := &slog.HandlerOptions{Level: level}
	switch l.format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, usagef("--log-format %s: text or json is needed", l.format)
}
