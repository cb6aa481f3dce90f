package main

import (
	"bufio"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"strings"
	"sync"
)

// A database of one table, to have something to lose: a server that listens on TCP,
// and its driver for database/sql. A client sends the id of a user, or "ping", as a
// line; the answer is a line that begins with "row", "none", "pong" or "error".

// server is a database server that can be killed and started again under its address.
type server struct {
	name, addr string
	users      map[string]string

	mu       sync.Mutex
	listener net.Listener
	clients  map[net.Conn]bool
	busy     int // how many of the next queries it turns down
}

func (s *server) start() {
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		log.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addr, s.listener, s.clients = l.Addr().String(), l, make(map[net.Conn]bool)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(l, c)
		}
	}()
}

func (s *server) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener.Close()
	for c := range s.clients {
		c.Close()
	}
	s.listener, s.clients = nil, nil
}

func (s *server) serve(l net.Listener, c net.Conn) {
	defer c.Close()
	s.mu.Lock()
	if s.listener != l { // killed meanwhile
		s.mu.Unlock()
		return
	}
	s.clients[c] = true
	s.mu.Unlock()
	for lines := bufio.NewScanner(c); lines.Scan(); {
		fmt.Fprintln(c, s.answer(lines.Text()))
	}
}

func (s *server) answer(line string) string {
	if line == "ping" {
		return "pong"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy > 0 {
		s.busy--
		return "error too many connections"
	}
	if name, ok := s.users[line]; ok {
		return "row " + name + ", says " + s.name
	}
	return "none"
}

func (s *server) turnDown(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = n
}

func init() { sql.Register("fakedb", fakeDriver{}) }

type fakeDriver struct{}

func (fakeDriver) Open(addr string) (driver.Conn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, in: bufio.NewReader(c)}, nil
}

// conn is a connection to the server. It implements driver.Pinger and
// driver.QueryerContext; transactions and prepared statements it has none.
type conn struct {
	net.Conn
	in *bufio.Reader
}

func (c *conn) Ping(ctx context.Context) error {
	_, err := c.ask(ctx, "ping")
	return err
}

func (c *conn) QueryContext(ctx context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	answer, err := c.ask(ctx, query)
	if err != nil {
		return nil, err
	}
	word, rest, _ := strings.Cut(answer, " ")
	switch word {
	case "row":
		return &rows{rest}, nil
	case "none":
		return &rows{}, nil
	}
	return nil, errors.New(rest)
}

func (c *conn) ask(ctx context.Context, line string) (string, error) {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if _, err := fmt.Fprintln(c, line); err != nil {
		return "", driver.ErrBadConn
	}
	answer, err := c.in.ReadString('\n')
	if err != nil {
		return "", driver.ErrBadConn
	}
	return strings.TrimSpace(answer), nil
}

var errNone = errors.New("fakedb has no such thing")

func (c *conn) Prepare(string) (driver.Stmt, error) { return nil, errNone }
func (c *conn) Begin() (driver.Tx, error)           { return nil, errNone }

// rows are one row of one column, or none.
type rows struct{ name string }

func (r *rows) Columns() []string { return []string{"name"} }
func (r *rows) Close() error      { return nil }

func (r *rows) Next(dest []driver.Value) error {
	if r.name == "" {
		return io.EOF
	}
	dest[0], r.name = r.name, ""
	return nil
}
