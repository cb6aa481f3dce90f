package embedded_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/understudy-go/understudy/cluster/embedded"
)

// greeter listens on a free port and says greeting to whoever comes.
func greeter(t *testing.T, listen, greeting string) string {
	t.Helper()
	l, err := net.Listen("tcp", listen)
	noError(t, err)
	done := make(chan struct{})
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	go func() {
		defer close(done)
		var conns []net.Conn
		for {
			conn, err := l.Accept()
			if err != nil {
				break
			}
			_, _ = conn.Write([]byte(greeting))
			conns = append(conns, conn) // an open line that says no more
		}
		for _, conn := range conns {
			conn.Close()
		}
	}()
	return l.Addr().String()
}

func portTaken(t *testing.T, cfg embedded.Config) *embedded.PortTakenError {
	t.Helper()
	_, err := embedded.Start(context.Background(), cfg, nil)
	var taken *embedded.PortTakenError
	if !errors.As(err, &taken) {
		t.Fatalf("got %v, want a PortTakenError", err)
	}
	// Nothing is left of the attempt: the store is free.
	cfg.Listen = "127.0.0.1:0"
	start(t, cfg, nil).Close()
	return taken
}

func TestPortTakenByNATS(t *testing.T) {
	addr := strings.TrimPrefix(start(t, local(t), nil).URL(), "nats://")
	cfg := local(t)
	cfg.Listen = addr
	taken := portTaken(t, cfg)
	equal(t, *taken, embedded.PortTakenError{Addr: addr, NATSVersion: server.VERSION})
	equal(t, taken.Error(), addr+" is taken by a NATS server ("+server.VERSION+"): use it with --nats nats://"+addr+
		" or choose another port with nats.embedded.listen")
}

// What listens on every interface is in the way on each of them.
func TestPortTakenOnAllInterfaces(t *testing.T) {
	cfg := local(t)
	cfg.Listen, cfg.Token = "0.0.0.0:0", "t"
	addr := strings.TrimPrefix(start(t, cfg, nil).URL(), "nats://")
	_, port, err := net.SplitHostPort(addr)
	noError(t, err)
	for _, listen := range []string{addr, "0.0.0.0:" + port} {
		cfg := local(t)
		cfg.Listen, cfg.Token = listen, "t"
		equal(t, *portTaken(t, cfg), embedded.PortTakenError{Addr: addr, NATSVersion: server.VERSION})
	}
}

func TestPortTakenByAnother(t *testing.T) {
	for name, greeting := range map[string]string{
		"silent":           "",
		"SSH":              "SSH-2.0-OpenSSH_9.6\r\n",
		"not JSON":         "INFO hello\r\n",
		"no version":       "INFO {}\r\n",
		"half a line":      `INFO {"version":"2.1`,
		"escape sequences": `INFO {"version":"\u001b[2J2.15.2"}` + "\r\n",
		"no end":           "INFO " + strings.Repeat("x", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			cfg := local(t)
			cfg.Listen = greeter(t, "127.0.0.1:0", greeting)
			taken := portTaken(t, cfg)
			equal(t, taken.Error(), cfg.Listen+" is taken by a program that does not answer as a NATS server: "+
				"choose another port with nats.embedded.listen")
		})
	}
}

// The port is taken after we looked and before the server listens.
func TestPortTakenMeanwhile(t *testing.T) {
	cfg := local(t)
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	noError(t, err)
	cfg.Listen = probe.Addr().String()
	noError(t, probe.Close())
	log := &lines{on: func(line string) {
		if strings.Contains(line, "Starting JetStream") {
			greeter(t, cfg.Listen, `INFO {"version":"9.9.9"}`+"\r\n")
		}
	}}
	_, err = embedded.Start(context.Background(), cfg, log.logger())
	var taken *embedded.PortTakenError
	holds(t, errors.As(err, &taken), "the port is taken")
	equal(t, *taken, embedded.PortTakenError{Addr: cfg.Listen, NATSVersion: "9.9.9"})
	cfg.Listen = "127.0.0.1:0"
	start(t, cfg, nil)
}

func TestAddressThatIsNotOurs(t *testing.T) {
	cfg := local(t)
	cfg.Listen, cfg.Token = "192.0.2.1:4222", "t" // TEST-NET-1, of no machine
	_, err := embedded.Start(context.Background(), cfg, nil)
	holds(t, err != nil, "it cannot be listened on")
	contains(t, err.Error(), "nats.embedded.listen: ")
	contains(t, err.Error(), "192.0.2.1:4222")
}
