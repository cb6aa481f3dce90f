package admin

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestProbes(t *testing.T) {
	var why atomic.Value
	why.Store("draining")
	s, err := Listen("127.0.0.1:0", func() string { return why.Load().(string) }, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close(context.Background())) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(method, path string) (int, string) {
		req, err := http.NewRequest(method, s.URL()+path, nil)
		require.NoError(t, err)
		resp, err := client.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, strings.TrimSpace(string(body))
	}
	for _, tc := range []struct {
		why, method, path string
		status            int
		body              string
	}{
		{"draining", "GET", "/livez", 200, "ok"},
		{"draining", "GET", "/readyz", 503, "draining"},
		{"", "GET", "/readyz", 200, "ok"},
		{"", "HEAD", "/readyz", 200, ""},
		{"", "POST", "/readyz", 405, "Method Not Allowed"},
		{"", "GET", "/", 404, "404 page not found"},
	} {
		why.Store(tc.why)
		status, body := get(tc.method, tc.path)
		require.Equal(t, tc.status, status, tc.path)
		require.Equal(t, tc.body, body, tc.path)
	}
}

func TestAddressTaken(t *testing.T) {
	first, err := Listen("127.0.0.1:0", func() string { return "" }, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { require.NoError(t, first.Close(context.Background())) }()
	taken := strings.TrimPrefix(first.URL(), "http://")
	_, err = Listen(taken, nil, slog.New(slog.DiscardHandler))
	require.EqualError(t, err, taken+" is taken: choose another address with admin.listen, or turn it off")
}
