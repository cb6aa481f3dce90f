package embedded

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"syscall"
	"time"
)

const (
	// identifyMax is how long whoever holds our port has to say what it is. A
	// NATS server speaks first, at once.
	identifyMax = 300 * time.Millisecond
	// infoMax bounds the line it says, in bytes.
	infoMax = 64 << 10
)

// PortTakenError says that something else listens where the server should.
type PortTakenError struct {
	// Addr is the address as a client on this machine dials it.
	Addr string
	// NATSVersion is the version of the NATS server that is there, "" when what
	// is there does not answer as one.
	NATSVersion string
}

func (e *PortTakenError) Error() string {
	if e.NATSVersion == "" {
		return fmt.Sprintf("%s is taken by a program that does not answer as a NATS server: "+
			"choose another port with nats.embedded.listen", e.Addr)
	}
	return fmt.Sprintf("%s is taken by a NATS server (%s): use it with --nats nats://%s "+
		"or choose another port with nats.embedded.listen", e.Addr, e.NATSVersion, e.Addr)
}

// checkPort reports why the server could not listen, or nil. It dials before it
// listens: where a program listens on all interfaces, some systems let a second
// one have loopback, and clients would find now this one, now that.
func checkPort(listen string) error {
	host, port, err := splitListen(listen)
	if err != nil || port == 0 {
		return err
	}
	addr := dialable(host, port)
	if conn, err := net.DialTimeout("tcp", addr, identifyMax); err == nil {
		defer conn.Close()
		// A dial to a free port out of the range that dials use can meet itself.
		if conn.LocalAddr().String() != conn.RemoteAddr().String() {
			return &PortTakenError{Addr: addr, NATSVersion: natsVersion(conn)}
		}
	}
	l, err := net.Listen("tcp", listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return &PortTakenError{Addr: addr}
	}
	if err != nil {
		return fmt.Errorf("nats.embedded.listen: %w", err)
	}
	return l.Close()
}

// versionShape keeps whatever else a stranger may send out of a terminal.
var versionShape = regexp.MustCompile(`^[0-9A-Za-z.+-]{1,40}$`)

// natsVersion reads the line with which a NATS server greets.
func natsVersion(conn net.Conn) string {
	_ = conn.SetReadDeadline(time.Now().Add(identifyMax))
	line, _ := bufio.NewReader(io.LimitReader(conn, infoMax)).ReadBytes('\n')
	info, ok := bytes.CutPrefix(line, []byte("INFO "))
	if !ok {
		return ""
	}
	var greeting struct {
		Version string `json:"version"`
	}
	if json.Unmarshal(info, &greeting) != nil || !versionShape.MatchString(greeting.Version) {
		return ""
	}
	return greeting.Version
}
