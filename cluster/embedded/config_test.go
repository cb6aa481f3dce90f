package embedded_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/understudy-go/understudy/cluster/embedded"
	"github.com/understudy-go/understudy/messages"
)

func TestConfigZeroIsLoopbackAndBounded(t *testing.T) {
	cfg := embedded.Config{}.WithDefaults()
	equal(t, cfg, embedded.Config{
		Listen: "127.0.0.1:4222", Store: "./understudy-data", Name: "understudy",
		MaxMemory: 64 << 20, MaxStore: 1 << 30,
	})
	noError(t, cfg.Validate())
}

func TestConfigValidate(t *testing.T) {
	const open = " is open to the network, and anyone there could send requests: " +
		"set user and password, or token, or listen on 127.0.0.1"
	for name, tc := range map[string]struct {
		cfg    embedded.Config
		faults []string // none: valid
	}{
		"localhost":      {embedded.Config{Listen: "localhost:4222"}, nil},
		"other loopback": {embedded.Config{Listen: "127.9.9.9:0"}, nil},
		"IPv6 loopback":  {embedded.Config{Listen: "[::1]:-1"}, nil},
		"mapped":         {embedded.Config{Listen: "[::ffff:127.0.0.1]:1"}, nil},
		"token":          {embedded.Config{Listen: "0.0.0.0:4222", Token: "t"}, nil},
		"user":           {embedded.Config{Listen: "nats.example:4222", User: "u", Password: "p"}, nil},
		"all interfaces": {embedded.Config{Listen: "0.0.0.0:4222"}, []string{"listen: 0.0.0.0:4222" + open}},
		"no host":        {embedded.Config{Listen: ":4222"}, []string{"listen: :4222" + open}},
		"IPv6 all":       {embedded.Config{Listen: "[::]:4222"}, []string{"listen: [::]:4222" + open}},
		"a name":         {embedded.Config{Listen: "localhost.example:4222"}, []string{"listen: localhost.example:4222" + open}},
		"user alone is no authentication": {embedded.Config{Listen: "10.0.0.1:1", User: "u"}, []string{
			"listen: 10.0.0.1:1" + open, "user: goes with password, one of the two is missing"}},
		"no port":    {embedded.Config{Listen: "127.0.0.1"}, []string{`listen: "127.0.0.1" is not host:port`}},
		"word port":  {embedded.Config{Listen: "127.0.0.1:nats"}, []string{`listen: "127.0.0.1:nats" has no port between -1 and 65535`}},
		"large port": {embedded.Config{Listen: "127.0.0.1:65536"}, []string{`listen: "127.0.0.1:65536" has no port between -1 and 65535`}},
		"limits": {embedded.Config{MaxMemory: -1, MaxStore: 1<<20 - 1}, []string{
			"max_memory: -1 is less than 1048576 bytes (1 MiB), and it cannot be turned off",
			"max_store: 1048575 is less than 1048576 bytes (1 MiB), and it cannot be turned off"}},
		"name":     {embedded.Config{Name: "a b"}, []string{`name: name "a b" has ' ': only letters, digits, "_" and "-" are allowed`}},
		"both":     {embedded.Config{User: "u", Password: "p", Token: "t"}, []string{"token: give either token, or user and password"}},
		"password": {embedded.Config{Password: "hidden"}, []string{"user: goes with password, one of the two is missing"}},
		"hashes": {embedded.Config{User: "u", Password: "$2a$11$hidden"}, []string{
			"password: looks like a bcrypt hash, plain text is needed"}},
		"hashed token": {embedded.Config{Token: "$2b$04$hidden"}, []string{"token: looks like a bcrypt hash, plain text is needed"}},
		"no hash":      {embedded.Config{Token: "$2c$04$"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.cfg.WithDefaults().Validate()
			if tc.faults == nil {
				noError(t, err)
				return
			}
			holds(t, err != nil, "a fault is found")
			equal(t, err.Error(), strings.Join(tc.faults, "\n"))
			lacks(t, err.Error(), "hidden")
		})
	}
}

// A server that may not be open to the network does not even make its store.
func TestStartRefusesInvalidConfig(t *testing.T) {
	store := t.TempDir() + "/store"
	_, err := embedded.Start(context.Background(), embedded.Config{Listen: "0.0.0.0:0", Store: store}, nil)
	errorIs(t, err, messages.ErrInvalidConfig)
	_, err = os.Stat(store)
	errorIs(t, err, os.ErrNotExist)
}
