package http

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"
)

func TestPoolDefaults(t *testing.T) {
	require.Equal(t, Pool{Max: 100, MaxIdle: 100, IdleTimeout: 90 * time.Second, ConnectTimeout: time.Second}, Pool{}.WithDefaults())
	given := Pool{Max: off, MaxIdle: off, IdleTimeout: time.Second, ConnectTimeout: time.Minute}
	require.Equal(t, given, given.WithDefaults())
	require.NoError(t, given.Validate())
	require.NoError(t, Pool{}.Validate())
}

func TestPoolValidateNamesEveryFault(t *testing.T) {
	require.EqualError(t, Pool{Max: -2, MaxIdle: -7, IdleTimeout: off, ConnectTimeout: time.Microsecond}.Validate(),
		`max: must be at least 1, or off, is -2
max_idle: must be at least 1, or off, is -7
idle_timeout: cannot be off
connect_timeout: must be at least 1ms, is 1µs`)
}

func TestTLSValidate(t *testing.T) {
	require.NoError(t, TLS{}.Validate())
	require.NoError(t, TLS{Cert: "no-such-file", Key: "no-such-file"}.Validate(), "files are not read here")
	require.EqualError(t, TLS{Cert: "c"}.Validate(), "key: cannot be empty where cert is set")
	require.EqualError(t, TLS{Key: "k"}.Validate(), "cert: cannot be empty where key is set")
}

func TestYAMLKeys(t *testing.T) {
	var c struct {
		Pool Pool `yaml:"pool"`
		TLS  *TLS `yaml:"tls"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(`{pool: {max: 1, max_idle: 2, idle_timeout: 3s, connect_timeout: 4s},
		tls: {ca: a, cert: b, key: c, server_name: d}}`), &c))
	require.Equal(t, Pool{Max: 1, MaxIdle: 2, IdleTimeout: 3 * time.Second, ConnectTimeout: 4 * time.Second}, c.Pool)
	require.Equal(t, &TLS{CA: "a", Cert: "b", Key: "c", ServerName: "d"}, c.TLS)
}

func TestNewRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for name, c := range map[string]struct {
		url  string
		pool Pool
		tls  *TLS
		want string
	}{
		"no URL":     {"http://u:hunter2@h\x7f", Pool{}, nil, "url: not a URL"},
		"scheme":     {"ftp://u:hunter2@h", Pool{}, nil, "url: must begin with http:// or https://"},
		"no scheme":  {"h/path", Pool{}, nil, "url: must begin with http:// or https://"},
		"no host":    {"http://:80/", Pool{}, nil, "url: has no host"},
		"query":      {"http://h/?token=hunter2", Pool{}, nil, "url: a base URL has no query and no fragment"},
		"fragment":   {"http://h/#hunter2", Pool{}, nil, "url: a base URL has no query and no fragment"},
		"pool":       {"http://h", Pool{Max: -2}, nil, "pool: max: must be at least 1"},
		"TLS":        {"http://h", Pool{}, &TLS{Cert: "c"}, "tls: key: cannot be empty"},
		"no CA file": {"http://h", Pool{}, &TLS{CA: "no-such-file"}, "tls: ca: open no-such-file"},
		"empty CA":   {"http://h", Pool{}, &TLS{CA: empty}, "empty.pem holds no certificate"},
		"no cert":    {"http://h", Pool{}, &TLS{Cert: "no-such-file", Key: empty}, "tls: cert: open no-such-file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(c.url, c.pool, c.tls, nil)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}
