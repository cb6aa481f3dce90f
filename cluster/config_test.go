package cluster_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/understudy-go/understudy/cluster"
)

func TestConfigZeroIsThisMachine(t *testing.T) {
	cfg := cluster.Config{}.WithDefaults()
	equal(t, cfg, cluster.Config{URL: "nats://127.0.0.1:4222"})
	noError(t, cfg.Validate())
}

func TestConfigValidate(t *testing.T) {
	for name, tc := range map[string]struct {
		cfg    cluster.Config
		faults []string // none: valid
	}{
		"several":           {cluster.Config{URL: "nats://a:4222, tls://b,c:4223"}, nil},
		"websocket":         {cluster.Config{URL: "wss://a/path"}, nil},
		"user":              {cluster.Config{User: "u", Password: "p"}, nil},
		"in all urls":       {cluster.Config{URL: "nats://u:p@a,nats://u:p@b"}, nil},
		"tls":               {cluster.Config{NKey: "n", TLS: cluster.TLS{CA: "a", Cert: "b", Key: "c"}}, nil},
		"scheme":            {cluster.Config{URL: "http://a"}, []string{`url: has the unknown scheme "http": nats, tls, ws or wss is needed`}},
		"no host":           {cluster.Config{URL: "nats://:4222"}, []string{"url: is not an address like nats://host:4222"}},
		"nothing in it":     {cluster.Config{URL: " , "}, []string{"url: names no server"}},
		"password alone":    {cluster.Config{Password: "hidden"}, []string{"password: goes with user, which is missing"}},
		"two ways":          {cluster.Config{User: "u", Token: "hidden"}, []string{"user, token: only one of them can be used"}},
		"in url and beside": {cluster.Config{URL: "hidden@a", Creds: "c", NKey: "n"}, []string{"credentials in url, creds, nkey: only one of them can be used"}},
		"key alone":         {cluster.Config{TLS: cluster.TLS{Key: "k"}}, []string{"tls.cert: goes with tls.key, one of the two is missing"}},
		"a secret as port":  {cluster.Config{URL: "nats://u:hidden"}, []string{"url: is not an address like nats://host:4222"}},
		"a comma in it":     {cluster.Config{URL: "nats://u:hid,den@a"}, []string{"url: is not an address like nats://host:4222"}},
		"all at once": {cluster.Config{URL: "x://a,nats://", Password: "hidden", TLS: cluster.TLS{Cert: "c"}}, []string{
			`url: has the unknown scheme "x": nats, tls, ws or wss is needed`,
			"url: is not an address like nats://host:4222",
			"password: goes with user, which is missing",
			"tls.cert: goes with tls.key, one of the two is missing",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.cfg.WithDefaults().Validate()
			if tc.faults == nil {
				noError(t, err)
				return
			}
			holds(t, err != nil, "a fault is found")
			equal(t, err.Error(), strings.Join(tc.faults, "\n"))
			lacks(t, err.Error(), "hid")
		})
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"":                                "",
		"nats://a:4222":                   "nats://a:4222",
		"a:4222,b":                        "a:4222,b",
		"nats://u:p@a:4222":               "nats://xxxxx@a:4222",
		"nats://token@a:4222":             "nats://xxxxx@a:4222",
		"u:p@a":                           "xxxxx@a",
		"nats://u:p@a:1,nats://u:p@b:2":   "nats://xxxxx@a:1,nats://xxxxx@b:2",
		"nats://u:p@a:1,u:p@b:2":          "nats://xxxxx@a:1,xxxxx@b:2",
		"nats://u:p,s@a":                  "nats://xxxxx@a",
		"nats://u:p@s@a":                  "nats://xxxxx@xxxxx@a",
		"nats://u:1,2@a":                  "nats://xxxxx@a",
		"nats://u:p/s?x#y@a:4222/where?q": "nats://xxxxx@a:4222/where?q",
	} {
		equal(t, cluster.Redact(in), want)
	}
}

// Whatever stands before an "@" is gone, whatever it is made of, and what is
// not secret stays readable.
func TestRedactHidesEverySecret(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringMatching(`[A-Z0-9:/?#,%]{0,5}SECRET[A-Z0-9:/?#,%]{0,5}`).Draw(t, "secret")
		scheme := rapid.SampledFrom([]string{"nats://", "tls://", ""}).Draw(t, "scheme")
		if scheme == "" {
			secret = strings.ReplaceAll(secret, "://", "") // it would be one
		}
		before := rapid.SampledFrom([]string{"", "u:"}).Draw(t, "user")
		after := rapid.SampledFrom([]string{"", ",nats://c:3"}).Draw(t, "after")
		got := cluster.Redact(scheme + before + secret + "@b:2" + after)
		if strings.Contains(got, "SECRET") || !strings.HasPrefix(got, scheme) || !strings.HasSuffix(got, "@b:2"+after) {
			t.Fatalf("%q became %q", secret, got)
		}
	})
}
