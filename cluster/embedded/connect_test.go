package embedded_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/understudy-go/understudy/cluster"
	"github.com/understudy-go/understudy/messages"
)

// These tests are cluster.Connect's. They stand here because they need servers
// that the embedded one cannot be, and no other package imports nats-server.

// foreign runs a server that somebody else configured.
func foreign(t *testing.T, opts *server.Options) string {
	t.Helper()
	opts.Host, opts.Port, opts.NoSigs, opts.NoLog = "127.0.0.1", server.RANDOM_PORT, true, true
	ns, err := server.NewServer(opts)
	noError(t, err)
	ns.Start()
	t.Cleanup(func() {
		ns.Shutdown()
		ns.WaitForShutdown()
	})
	holds(t, ns.ReadyForConnections(patience), "the server is ready")
	return "nats://" + ns.Addr().String()
}

func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	noError(t, os.WriteFile(path, content, 0o600))
	return path
}

// admitted connects, and checks that nothing of the secret is told.
func admitted(t *testing.T, cfg cluster.Config, secrets ...string) error {
	t.Helper()
	log := &lines{}
	nc, err := cluster.Connect(cfg, log.logger())
	told := log.text()
	if err != nil {
		told += err.Error()
	} else {
		noError(t, nc.Flush())
		noError(t, cluster.Drain(context.Background(), nc))
	}
	for _, secret := range secrets {
		lacks(t, told, secret)
	}
	return err
}

// user returns a new user's key, its public half and its seed.
func user(t *testing.T) (public, seed string) {
	t.Helper()
	key, err := nkeys.CreateUser()
	noError(t, err)
	public, err = key.PublicKey()
	noError(t, err)
	raw, err := key.Seed()
	noError(t, err)
	return public, string(raw)
}

func TestConnectByNKey(t *testing.T) {
	public, seed := user(t)
	_, otherSeed := user(t)
	url := foreign(t, &server.Options{Nkeys: []*server.NkeyUser{{Nkey: public}}})

	noError(t, admitted(t, cluster.Config{URL: url, NKey: write(t, "seed", []byte(seed))}, seed))
	err := admitted(t, cluster.Config{URL: url, NKey: write(t, "seed", []byte(otherSeed))}, otherSeed)
	errorIs(t, err, messages.ErrUnauthorized)
	err = admitted(t, cluster.Config{URL: url, NKey: write(t, "seed", []byte("SUA-hidden"))}, "hidden")
	errorIs(t, err, messages.ErrInvalidConfig)
	contains(t, err.Error(), "nkey: ")

	plain := foreign(t, &server.Options{})
	err = admitted(t, cluster.Config{URL: plain, NKey: write(t, "seed", []byte(seed))}, seed)
	errorIs(t, err, messages.ErrUnauthorized) // it knows no nkeys
}

func TestConnectByCredentials(t *testing.T) {
	operator, err := nkeys.CreateOperator()
	noError(t, err)
	operatorPublic, err := operator.PublicKey()
	noError(t, err)
	account, err := nkeys.CreateAccount()
	noError(t, err)
	accountPublic, err := account.PublicKey()
	noError(t, err)
	accountJWT, err := jwt.NewAccountClaims(accountPublic).Encode(operator)
	noError(t, err)
	accounts := &server.MemAccResolver{}
	noError(t, accounts.Store(accountPublic, accountJWT))
	url := foreign(t, &server.Options{TrustedKeys: []string{operatorPublic}, AccountResolver: accounts})

	public, seed := user(t)
	userJWT, err := jwt.NewUserClaims(public).Encode(account)
	noError(t, err)
	creds, err := jwt.FormatUserConfig(userJWT, []byte(seed))
	noError(t, err)
	noError(t, admitted(t, cluster.Config{URL: url, Creds: write(t, "u.creds", creds)}, seed, userJWT))

	_, otherSeed := user(t)
	forged := strings.Replace(string(creds), seed, otherSeed, 1)
	err = admitted(t, cluster.Config{URL: url, Creds: write(t, "u.creds", []byte(forged))}, otherSeed, userJWT)
	errorIs(t, err, messages.ErrUnauthorized)

	for name, content := range map[string]string{
		"no seed": strings.Split(string(creds), "************************* IMPORTANT")[0],
		"no JWT":  "", // and no seed
	} {
		t.Run(name, func(t *testing.T) {
			err := admitted(t, cluster.Config{URL: url, Creds: write(t, "u.creds", []byte(content))}, seed, userJWT)
			errorIs(t, err, messages.ErrInvalidConfig)
			contains(t, err.Error(), "creds: ")
		})
	}
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	noError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	noError(t, err)
	cert, err := x509.ParseCertificate(der)
	noError(t, err)
	return authority{cert, key, write(t, "ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}

// issue signs a certificate for this machine, as server and as client.
func (a authority) issue(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	noError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	noError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	noError(t, err)
	return write(t, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		write(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

func TestConnectByTLS(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	certFile, keyFile := ours.issue(t)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	noError(t, err)
	clients := x509.NewCertPool()
	clients.AddCert(ours.cert)
	open := foreign(t, &server.Options{TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}}})
	mutual := foreign(t, &server.Options{TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients,
	}})
	plain := foreign(t, &server.Options{})
	clientCert, clientKey := ours.issue(t)
	strangerCert, strangerKey := theirs.issue(t)

	for name, tc := range map[string]struct {
		url string
		tls cluster.TLS
		ok  bool
	}{
		"known CA":                 {open, cluster.TLS{CA: ours.file}, true},
		"known CA, scheme tls":     {strings.Replace(open, "nats:", "tls:", 1), cluster.TLS{CA: ours.file}, true},
		"another CA":               {open, cluster.TLS{CA: theirs.file}, false},
		"the system's CAs":         {open, cluster.TLS{}, false},
		"server without TLS":       {plain, cluster.TLS{CA: ours.file}, false},
		"scheme tls without TLS":   {strings.Replace(plain, "nats:", "tls:", 1), cluster.TLS{}, false},
		"our certificate":          {mutual, cluster.TLS{CA: ours.file, Cert: clientCert, Key: clientKey}, true},
		"no certificate of ours":   {mutual, cluster.TLS{CA: ours.file}, false},
		"a stranger's certificate": {mutual, cluster.TLS{CA: ours.file, Cert: strangerCert, Key: strangerKey}, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := admitted(t, cluster.Config{URL: tc.url, TLS: tc.tls})
			if tc.ok {
				noError(t, err)
				return
			}
			var unreachable *cluster.UnreachableError
			if !errors.As(err, &unreachable) {
				t.Fatalf("got %v, want an UnreachableError", err)
			}
		})
	}

	err = admitted(t, cluster.Config{URL: open, TLS: cluster.TLS{CA: keyFile}})
	errorIs(t, err, messages.ErrInvalidConfig)
	contains(t, err.Error(), "tls.ca: ")
	err = admitted(t, cluster.Config{URL: open, TLS: cluster.TLS{Cert: clientCert, Key: strangerKey}})
	errorIs(t, err, messages.ErrInvalidConfig)
	contains(t, err.Error(), "tls.cert: ")
}
