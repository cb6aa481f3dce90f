package http

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/understudy-go/understudy/actors/transport"
	"github.com/understudy-go/understudy/messages"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what must not hang; nothing waits for it to pass.
const patience = 10 * time.Second

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

// serve runs a handler, quietly, and counts the connections that end.
func serve(t *testing.T, start func(*httptest.Server), h nethttp.HandlerFunc) (s *httptest.Server, opened, closed chan net.Conn) {
	t.Helper()
	s = httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	opened, closed = make(chan net.Conn, 100), make(chan net.Conn, 100)
	s.Config.ConnState = func(c net.Conn, state nethttp.ConnState) {
		switch state {
		case nethttp.StateNew:
			opened <- c
		case nethttp.StateClosed, nethttp.StateHijacked:
			closed <- c
		}
	}
	start(s)
	t.Cleanup(s.Close)
	return s, opened, closed
}

func plain(s *httptest.Server) { s.Start() }

// h2 serves TLS with HTTP/2.
func h2(s *httptest.Server) {
	s.EnableHTTP2 = true
	s.StartTLS()
}

// raw runs a function for each connection, closes it after, and returns the address.
func raw(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			handle(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
	return l.Addr().String()
}

// readHead reads until the end of a request's head.
func readHead(c net.Conn) {
	_, _ = nethttp.ReadRequest(bufio.NewReader(c))
}

func connect(t *testing.T, url string, pool Pool, tls *TLS, headers map[string]string) *Client {
	t.Helper()
	c, err := New(url, pool, tls, headers)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// trusting connects to a TLS server of httptest.
func trusting(t *testing.T, s *httptest.Server, pool Pool) *Client {
	t.Helper()
	return connect(t, s.URL, pool, &TLS{CA: certFile(t, s.Certificate().Raw)}, nil)
}

func certFile(t *testing.T, der []byte) string {
	t.Helper()
	return pemFile(t, "CERTIFICATE", der)
}

func pemFile(t *testing.T, kind string, der []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x.pem")
	require.NoError(t, os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return name
}

// identity makes a self-signed client certificate.
func identity(t *testing.T) (cert, key string, parsed *x509.Certificate) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "understudy"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	require.NoError(t, err)
	parsed, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	rawKey, err := x509.MarshalPKCS8PrivateKey(k)
	require.NoError(t, err)
	return certFile(t, der), pemFile(t, "PRIVATE KEY", rawKey), parsed
}

// mutual asks for a client certificate that ca signed.
func mutual(ca *x509.Certificate) func(*httptest.Server) {
	return func(s *httptest.Server) {
		pool := x509.NewCertPool()
		pool.AddCert(ca)
		s.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
		s.StartTLS()
	}
}

func get(t *testing.T, ctx context.Context, path string) *nethttp.Request {
	t.Helper()
	req, err := nethttp.NewRequestWithContext(ctx, nethttp.MethodGet, "http://orders"+path, nil)
	require.NoError(t, err)
	return req
}

func post(t *testing.T, ctx context.Context, body io.Reader) *nethttp.Request {
	t.Helper()
	req, err := nethttp.NewRequestWithContext(ctx, nethttp.MethodPost, "http://orders/", body)
	require.NoError(t, err)
	return req
}

// expiring is a context whose deadline passes when the function is called.
func expiring(t *testing.T) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(t.Context())
	t.Cleanup(func() { cancel(nil) })
	return ctx, func() { cancel(context.DeadlineExceeded) }
}

// fails makes one request that must fail as said.
func fails(t *testing.T, c *Client, req *nethttp.Request, outcome messages.Outcome, code messages.Code, words string, unsent bool) error {
	t.Helper()
	resp, err := c.RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close()
		require.Error(t, err)
	}
	gotOutcome, gotCode := transport.Classify(err)
	require.Equal(t, outcome, gotOutcome, "%v", err)
	require.Equal(t, code, gotCode, "%v", err)
	require.Equal(t, words, transport.Words(err), "%v", err)
	require.Equal(t, unsent, transport.Unsent(err), "%v", err)
	return err
}

// succeeds makes one request and returns its answer and all of its body.
func succeeds(t *testing.T, c *Client, req *nethttp.Request) (*nethttp.Response, string) {
	t.Helper()
	resp, err := c.RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(b)
}
