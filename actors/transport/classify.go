package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/understudy-go/understudy/messages"
)

// ErrClosedEarly ends a streamed answer whose reader went away before its end: it
// closed the body, or its context ended. The endpoint did what was asked until
// then, so it is a [messages.Success].
var ErrClosedEarly = errors.New("closed by the reader before the end")

// Classify says what the error of an attempt counts as, and its code. Nil is a
// success without a code.
//
//   - [context.Canceled] and what our own process lacks (file descriptors) are
//     Ignored.
//   - A [*messages.Error] that names a service comes from a call inside this one
//     and is Ignored with its own code. One that names none was made by a
//     transport: TIMEOUT and CONNECTION_ERROR are what they say, all else is a
//     refusal of ours and Ignored. So classify before filling the service in.
//   - Connections refused, reset or without a route, names that do not resolve,
//     TLS that fails, and an end where an answer should be, are ConnectFailure.
//   - Whatever else says Timeout() is a Timeout, dialing too: from the error
//     alone one cannot tell a dialer's own timeout from an impatient caller's
//     deadline. Whoever knows the caller's context looks at that one first.
//   - Everything else is a Failure, SERVICE_UNAVAILABLE.
func Classify(err error) (messages.Outcome, messages.Code) {
	v := judge(err)
	return v.outcome, v.code
}

type verdict struct {
	outcome messages.Outcome
	code    messages.Code
	words   string // empty: the error's own text, made safe
}

func judge(err error) verdict {
	var ours *messages.Error
	switch {
	case err == nil:
		return verdict{outcome: messages.Success}
	case errors.As(err, &ours):
		return judgeOurs(ours)
	case errors.Is(err, ErrClosedEarly):
		return verdict{messages.Success, "", ErrClosedEarly.Error()}
	case errors.Is(err, context.Canceled):
		return verdict{messages.Ignored, messages.CodeCanceled, "canceled by the caller"}
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return verdict{messages.Ignored, messages.CodeOverloaded, "too many open files here"}
	}
	if words := connectionWords(err); words != "" {
		return verdict{messages.ConnectFailure, messages.CodeConnectionError, words}
	}
	if timedOut(err) {
		return verdict{messages.Timeout, messages.CodeTimeout, "timeout"}
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return verdict{messages.ConnectFailure, messages.CodeConnectionError, "connection failed"}
	}
	return verdict{messages.Failure, messages.CodeServiceUnavailable, ""}
}

func judgeOurs(e *messages.Error) verdict {
	v := verdict{messages.Ignored, e.Code, errorWords(e)}
	if e.Service != "" {
		return v
	}
	switch e.Code {
	case messages.CodeTimeout:
		v.outcome = messages.Timeout
	case messages.CodeConnectionError:
		v.outcome = messages.ConnectFailure
	}
	return v
}

// errorWords leaves out the cause's own text, which may not be safe.
func errorWords(e *messages.Error) string {
	if e.Service == "" && e.Words == "" && e.Err != nil {
		return Words(e.Err)
	}
	bare := *e
	bare.Err, bare.Attempts, bare.RetryAfter = nil, nil, 0
	return bare.Error()
}

// timedOut looks at every error in the tree: errors.As would stop at a *url.Error,
// which has a Timeout of its own and asks no further than its next.
func timedOut(err error) bool {
	if t, ok := err.(interface{ Timeout() bool }); ok && t.Timeout() {
		return true
	}
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		return timedOut(u.Unwrap())
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(u.Unwrap(), timedOut)
	}
	return false
}

// errnos are the ways in which the kernel says that there is no connection, or
// none any more.
var errnos = []struct {
	errno syscall.Errno
	words string
}{
	{syscall.ECONNREFUSED, "connection refused"},
	{syscall.ECONNRESET, "connection reset"},
	{syscall.ECONNABORTED, "connection aborted"},
	{syscall.EPIPE, "connection closed by the endpoint"},
	{syscall.EHOSTUNREACH, "no route to host"},
	{syscall.EHOSTDOWN, "host is down"},
	{syscall.ENETUNREACH, "network is unreachable"},
	{syscall.ENETDOWN, "network is down"},
	{syscall.EADDRNOTAVAIL, "no local address to connect from"},
}

// connectionWords says what went wrong with the connection; "" if err is about
// something else, or only says that time is up.
func connectionWords(err error) string {
	for _, e := range errnos {
		if errors.Is(err, e.errno) {
			return e.words
		}
	}
	var (
		dns *net.DNSError
		op  *net.OpError
	)
	switch {
	case errors.As(err, &dns):
		switch {
		case dns.IsTimeout:
			return ""
		case dns.IsNotFound:
			return "no such host"
		}
		return "name resolution failed"
	case errors.As(err, &op) && op.Op == "dial" && errors.Is(err, syscall.ETIMEDOUT):
		return "no answer to connecting" // the kernel gave up, not an impatient caller
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "connection closed before the answer was complete"
	}
	return tlsWords(err)
}

// tlsWords says why two sides did not agree on a secure connection; "" if err is
// not about that.
func tlsWords(err error) string {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		verify  *tls.CertificateVerificationError
		record  tls.RecordHeaderError
		op      *net.OpError
	)
	switch {
	case errors.As(err, &unknown):
		return "TLS: certificate signed by unknown authority"
	case errors.As(err, &name):
		return "TLS: certificate is for another name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "TLS: certificate has expired or is not yet valid"
	case errors.As(err, &invalid), errors.As(err, &verify):
		return "TLS: certificate is not valid"
	case errors.As(err, &record):
		return "TLS: the endpoint does not speak TLS"
	case errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error") && op.Err != nil:
		// A TLS alert: one of the fixed texts of RFC 8446, section 6.
		return "TLS: " + strings.TrimPrefix(op.Err.Error(), "tls: ")
	}
	return ""
}
