package http

import (
	nethttp "net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestTarget(t *testing.T) {
	for _, c := range []struct{ base, request, want string }{
		// base, the request's URL, what goes out
		{"http://h", "http://orders", "http://h"},
		{"http://h", "http://orders/", "http://h/"},
		{"http://h/", "http://orders", "http://h/"},
		{"http://h/", "http://orders/a", "http://h/a"},
		{"http://h", "http://orders/a/", "http://h/a/"},
		{"http://h:81/api", "http://orders", "http://h:81/api"},
		{"http://h/api", "http://orders/", "http://h/api/"},
		{"http://h/api/", "http://orders", "http://h/api/"},
		{"http://h/api", "http://orders/a", "http://h/api/a"},
		{"http://h/api/", "http://orders/a/", "http://h/api/a/"},
		{"http://h/api", "/a", "http://h/api/a"},
		{"http://h/api", "a", "http://h/api/a"},
		{"http://h/api", "http://orders//a//b", "http://h/api//a//b"},
		{"http://h/api//", "http://orders/a", "http://h/api//a"},
		{"http://h/api", "http://orders/../admin", "http://h/api/../admin"},
		{"http://h/a%2Fb", "http://orders/c%2Fd/%C3%A9", "http://h/a%2Fb/c%2Fd/%C3%A9"},
		{"http://h/a%2F", "http://orders/%2Fb", "http://h/a%2F/%2Fb"},
		{"http://h/ä", "http://orders/b c", "http://h/%C3%A4/b%20c"},
		{"http://h/api", "http://orders/a?x=1&y=%20", "http://h/api/a?x=1&y=%20"},
		{"http://h/api", "http://orders?x=1", "http://h/api?x=1"},
		{"http://h/api", "http://orders/a?", "http://h/api/a?"},
		{"http://h/api", "http://u:p@orders/a#part", "http://h/api/a"},
		{"https://[::1]:8/api", "http://orders/a", "https://[::1]:8/api/a"},
	} {
		base, err := url.Parse(c.base)
		require.NoError(t, err)
		u, err := url.Parse(c.request)
		require.NoError(t, err)
		require.Equal(t, c.want, target(base, u).String(), "%s and %s", c.base, c.request)
	}
}

func TestTargetOfAsterisk(t *testing.T) {
	base := &url.URL{Scheme: "http", Host: "h", Path: "/api"}
	require.Equal(t, "*", target(base, &url.URL{Path: "*"}).RequestURI())
}

// What arrives is the base's encoded path and the request's, with one slash between.
func TestTargetKeepsEncoding(t *testing.T) {
	segment := rapid.StringMatching(`([a-z.~:@ é]|%2F|%2f|%25|%41){0,4}`)
	path := rapid.Custom(func(t *rapid.T) string {
		return "/" + strings.Join(rapid.SliceOfN(segment, 0, 4).Draw(t, "segments"), "/")
	})
	rapid.Check(t, func(t *rapid.T) {
		base, err := url.Parse("http://h" + path.Draw(t, "base"))
		require.NoError(t, err)
		u, err := url.Parse("http://orders" + path.Draw(t, "path"))
		require.NoError(t, err)
		got := target(base, u)
		a, b := strings.TrimSuffix(base.EscapedPath(), "/"), u.EscapedPath()
		require.Equal(t, a+b, got.EscapedPath())
		require.Equal(t, "h", got.Host)
	})
}

func TestStripHopByHop(t *testing.T) {
	h := nethttp.Header{
		"Connection": {"close, X-One", "x-two"}, "connection": {"x-three"}, "Keep-Alive": {"5"}, "TE": {"trailers"},
		"transfer-encoding": {"chunked"}, "Upgrade": {"h2c"}, "Proxy-Authorization": {"secret"}, "Trailer": {"X"},
		"X-One": {"1"}, "x-two": {"2"}, "X-Three": {"3"}, "X-Four": {"4"}, "Authorization": {"mine"}, "traceparent": {"00"},
	}
	StripHopByHop(h)
	require.Equal(t, nethttp.Header{"X-Four": {"4"}, "Authorization": {"mine"}, "traceparent": {"00"}}, h)
	StripHopByHop(nil)
	require.True(t, HopByHop("proxy-connection"))
	require.False(t, HopByHop("Content-Length"))
}
