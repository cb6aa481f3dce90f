package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/understudy-go/understudy/cluster"
	"github.com/understudy-go/understudy/config"
	"github.com/understudy-go/understudy/messages"
)

// The exit statuses. Programs may lean on them.
const (
	exitOK = iota
	exitFailed
	exitUsage
	exitConfig
	exitUnreachable
	exitTimeout
	exitUnavailable
)

// usageError is a command line that cannot be meant.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, a ...any) error { return usageError{fmt.Errorf(format, a...)} }

// statusError carries the exit status of an error that has none by its kind.
type statusError struct {
	error
	status int
}

func (e statusError) Unwrap() error { return e.error }

// exitStatus sorts an error.
func exitStatus(err error) int {
	var (
		usage       usageError
		status      statusError
		mistakes    config.Mistakes
		unreachable *cluster.UnreachableError
		failure     *messages.Error
	)
	switch {
	case errors.As(err, &status):
		return status.status
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &mistakes):
		return exitConfig
	case errors.As(err, &unreachable):
		return exitUnreachable
	case errors.As(err, &failure):
		return codeStatus(failure.Code)
	case errors.Is(err, nats.ErrNoResponders):
		return exitUnavailable
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return exitTimeout
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrDisconnected), errors.Is(err, nats.ErrConnectionReconnecting):
		return exitUnreachable
	}
	return exitFailed
}

// codeStatus is the exit status of a refusal or a failure.
func codeStatus(code messages.Code) int {
	switch {
	case code == messages.CodeTimeout:
		return exitTimeout
	case code.Status() == 503:
		return exitUnavailable
	case code == messages.CodeInvalidRequest:
		return exitUsage
	case code == messages.CodeInvalidConfig || code == messages.CodeInvalidStrategy:
		return exitConfig
	}
	return exitFailed
}
