package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/understudy-go/understudy/messages"
)

func dialError(err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 80}, Err: err}
}

func errno(op string, e syscall.Errno) error {
	return &net.OpError{Op: op, Net: "tcp", Err: os.NewSyscallError(op, e)}
}

// patience is the error of a dial under a deadline that has passed.
func patience(t *testing.T) error {
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	_, err := new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:1")
	require.Error(t, err)
	return err
}

func TestClassify(t *testing.T) {
	const (
		none     = messages.Code("")
		connect  = messages.CodeConnectionError
		timeout  = messages.CodeTimeout
		canceled = messages.CodeCanceled
		failed   = messages.CodeServiceUnavailable
	)
	secret := &url.Error{Op: "Get", URL: "http://user:hunter2@shop/?token=abc", Err: errno("read", syscall.ECONNRESET)}
	for name, c := range map[string]struct {
		err     error
		outcome messages.Outcome
		code    messages.Code
		words   string
		unsent  bool
	}{
		"nil":            {nil, messages.Success, none, "", false},
		"closed early":   {fmt.Errorf("body: %w", ErrClosedEarly), messages.Success, none, "closed by the reader before the end", false},
		"refused":        {errno("connect", syscall.ECONNREFUSED), messages.ConnectFailure, connect, "connection refused", false},
		"refused dial":   {dialError(os.NewSyscallError("connect", syscall.ECONNREFUSED)), messages.ConnectFailure, connect, "connection refused", true},
		"bare errno":     {syscall.ECONNRESET, messages.ConnectFailure, connect, "connection reset", false},
		"reset in URL":   {secret, messages.ConnectFailure, connect, "connection reset", false},
		"broken pipe":    {errno("write", syscall.EPIPE), messages.ConnectFailure, connect, "connection closed by the endpoint", false},
		"aborted":        {errno("read", syscall.ECONNABORTED), messages.ConnectFailure, connect, "connection aborted", false},
		"no route":       {dialError(syscall.EHOSTUNREACH), messages.ConnectFailure, connect, "no route to host", true},
		"host down":      {dialError(syscall.EHOSTDOWN), messages.ConnectFailure, connect, "host is down", true},
		"no network":     {dialError(syscall.ENETUNREACH), messages.ConnectFailure, connect, "network is unreachable", true},
		"network down":   {dialError(syscall.ENETDOWN), messages.ConnectFailure, connect, "network is down", true},
		"no address":     {dialError(syscall.EADDRNOTAVAIL), messages.ConnectFailure, connect, "no local address to connect from", true},
		"kernel gave up": {dialError(os.NewSyscallError("connect", syscall.ETIMEDOUT)), messages.ConnectFailure, connect, "no answer to connecting", true},
		"peer vanished":  {errno("read", syscall.ETIMEDOUT), messages.Timeout, timeout, "timeout", false},
		"other errno":    {errno("read", syscall.EIO), messages.ConnectFailure, connect, "connection failed", false},
		"files": {dialError(os.NewSyscallError("socket", syscall.EMFILE)),
			messages.Ignored, messages.CodeOverloaded, "too many open files here", true},
		"no such host":    {dialError(&net.DNSError{Name: "x", IsNotFound: true}), messages.ConnectFailure, connect, "no such host", true},
		"DNS broken":      {&net.DNSError{Name: "x", Err: "server misbehaving"}, messages.ConnectFailure, connect, "name resolution failed", true},
		"DNS slow":        {dialError(&net.DNSError{Name: "x", IsTimeout: true}), messages.Timeout, timeout, "timeout", true},
		"EOF":             {&url.Error{Op: "Get", URL: "/", Err: io.EOF}, messages.ConnectFailure, connect, "connection closed before the answer was complete", false},
		"truncated":       {io.ErrUnexpectedEOF, messages.ConnectFailure, connect, "connection closed before the answer was complete", false},
		"closed here":     {&net.OpError{Op: "read", Err: net.ErrClosed}, messages.ConnectFailure, connect, "connection closed before the answer was complete", false},
		"deadline":        {fmt.Errorf("query: %w", context.DeadlineExceeded), messages.Timeout, timeout, "timeout", false},
		"I/O deadline":    {&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, messages.Timeout, timeout, "timeout", false},
		"impatient dial":  {patience(t), messages.Timeout, timeout, "timeout", true},
		"canceled":        {&url.Error{Op: "Get", URL: "/", Err: context.Canceled}, messages.Ignored, canceled, "canceled by the caller", false},
		"joined":          {errors.Join(errors.New("rollback"), context.Canceled), messages.Ignored, canceled, "canceled by the caller", false},
		"unknown CA":      {&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, messages.ConnectFailure, connect, "TLS: certificate signed by unknown authority", false},
		"other name":      {x509.HostnameError{Certificate: &x509.Certificate{}, Host: "x"}, messages.ConnectFailure, connect, "TLS: certificate is for another name", false},
		"expired":         {x509.CertificateInvalidError{Reason: x509.Expired}, messages.ConnectFailure, connect, "TLS: certificate has expired or is not yet valid", false},
		"bad certificate": {x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}, messages.ConnectFailure, connect, "TLS: certificate is not valid", false},
		"unverified":      {&tls.CertificateVerificationError{Err: errors.New("x")}, messages.ConnectFailure, connect, "TLS: certificate is not valid", false},
		"no TLS":          {tls.RecordHeaderError{Msg: "x"}, messages.ConnectFailure, connect, "TLS: the endpoint does not speak TLS", false},
		"alert":           {&net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}, messages.ConnectFailure, connect, "TLS: bad certificate", false},
		"own timeout":     {&messages.Error{Code: timeout, Words: "no byte for 30s"}, messages.Timeout, timeout, "no byte for 30s", false},
		"own connection":  {&messages.Error{Code: connect, Err: syscall.ECONNREFUSED}, messages.ConnectFailure, connect, "connection refused", false},
		"own refusal":     {&messages.Error{Code: messages.CodeOverloaded}, messages.Ignored, messages.CodeOverloaded, "overloaded", false},
		"own, marked":     {MarkUnsent(&messages.Error{Code: connect, Words: "gone"}), messages.ConnectFailure, connect, "gone", true},
		"failed check":    {&messages.Error{Code: messages.CodeHealthCheckFailed, Words: "status 503"}, messages.Ignored, messages.CodeHealthCheckFailed, "status 503", false},
		"inner call": {fmt.Errorf("stock: %w", &messages.Error{Code: timeout, Service: "stock", Endpoint: "stock-1", Err: secret}),
			messages.Ignored, timeout, "stock/stock-1: timeout", false},
		"inner dial": {&messages.Error{Code: connect, Service: "stock", Err: dialError(syscall.ECONNREFUSED)},
			messages.Ignored, connect, "stock: connection error", false},
		"the function's": {errors.New("row is locked"), messages.Failure, failed, "row is locked", false},
	} {
		t.Run(name, func(t *testing.T) {
			outcome, code := Classify(c.err)
			require.Equal(t, c.outcome, outcome)
			require.Equal(t, c.code, code)
			require.Equal(t, c.words, Words(c.err))
			require.Equal(t, c.unsent, Unsent(c.err))
		})
	}
}

func TestMarkUnsentKeepsTheError(t *testing.T) {
	err := MarkUnsent(&messages.Error{Code: messages.CodeTimeout})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.EqualError(t, err, "timeout")
}

func TestWordsShowNoSecrets(t *testing.T) {
	for text, want := range map[string]string{
		"Get http://a:b@shop/?t=1: odd":                   "Get … odd",
		`parse "postgres://app:hunter2@db/x": bad`:        "parse … bad",
		"dial with user=app password=hunter2 failed":      "dial with … … failed",
		"no mail to app@example.com":                      "no mail to …",
		"GET /orders?token is gone":                       "GET … is gone",
		"one\n  two\tthree":                               "one two three",
		"a\x1b[31mred\x00":                                "a[31mred",
		"bad \xff byte":                                   "bad … byte",
		strings.Repeat("x", 120):                          strings.Repeat("x", 120),
		strings.Repeat("x", 121):                          strings.Repeat("x", 117) + "…",
		strings.Repeat("x", 116) + "é" + "this goes away": strings.Repeat("x", 116) + "…",
	} {
		require.Equal(t, want, Words(errors.New(text)), "%q", text)
	}
}

func TestWordsAreShortAndOneLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := Words(errors.New(rapid.String().Draw(t, "text")))
		require.LessOrEqual(t, len(words), wordsMax)
		require.True(t, utf8.ValidString(words))
		require.NotContains(t, words, "://")
		require.False(t, strings.ContainsFunc(words, unicode.IsControl), "%q", words)
	})
}

// Whatever wraps an error, it stays what it is.
func TestWrappingChangesNothing(t *testing.T) {
	known := []error{
		nil, context.Canceled, context.DeadlineExceeded, io.EOF, syscall.ECONNREFUSED, ErrClosedEarly,
		dialError(syscall.ENETUNREACH), errno("read", syscall.ETIMEDOUT), x509.UnknownAuthorityError{},
		&messages.Error{Code: messages.CodeTimeout}, &messages.Error{Code: messages.CodeTimeout, Service: "s"},
		MarkUnsent(&messages.Error{Code: messages.CodeOverloaded}), errors.New("odd"),
	}
	rapid.Check(t, func(t *rapid.T) {
		err := rapid.SampledFrom(known[1:]).Draw(t, "error")
		wrapped := err
		for range rapid.IntRange(0, 3).Draw(t, "depth") {
			switch rapid.IntRange(0, 2).Draw(t, "how") {
			case 0:
				wrapped = fmt.Errorf("in the function: %w", wrapped)
			case 1:
				wrapped = &url.Error{Op: "Get", URL: "http://a/?b", Err: wrapped}
			case 2:
				wrapped = errors.Join(errors.New("and"), wrapped)
			}
		}
		o1, c1 := Classify(err)
		o2, c2 := Classify(wrapped)
		require.Equal(t, o1, o2)
		require.Equal(t, c1, c2)
		require.Equal(t, Unsent(err), Unsent(wrapped))
		if o1 != messages.Failure {
			require.Equal(t, Words(err), Words(wrapped))
		}
	})
}
