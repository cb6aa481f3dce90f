package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// The test binary is also the command, under its name: see testscript.Main.
func TestMain(m *testing.M) {
	testscript.Main(leakless{m}, map[string]func(){"understudy": main})
}

// leakless fails the tests that leave a goroutine behind.
type leakless struct{ *testing.M }

func (l leakless) Run() int {
	code := l.M.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// patience bounds every wait for something that must happen. Nothing waits for
// it to pass.
const patience = 30 * time.Second

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": wantStatus},
		Setup: func(e *testscript.Env) error {
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
	})
}

// wantStatus runs a command that must end with a status: status 3 understudy check x.
func wantStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status n command args…")
	}
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || fmt.Sprint(exit.ExitCode()) != args[0] {
		ts.Fatalf("%v, want status %s", err, args[0])
	}
}

// environment is this process's own, without what would change what a test says.
func environment(more ...string) []string {
	var env []string
	for _, pair := range os.Environ() {
		own := false
		for _, prefix := range []string{"NATS_", "UNDERSTUDY_", "OTEL_", "NO_COLOR="} {
			own = own || strings.HasPrefix(pair, prefix)
		}
		if !own {
			env = append(env, pair)
		}
	}
	// The race detector would have every command wait a second at its end.
	return append(append(env, "GORACE=atexit_sleep_ms=0"), more...)
}

// process is the real command at work.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout *stream
	stderr *stream
	exited chan struct{}
}

// begin starts the command with variables and arguments.
func begin(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command("understudy", args...), stdout: newStream(), stderr: newStream(), exited: make(chan struct{})}
	p.cmd.Env = environment(env...)
	p.cmd.Dir = t.TempDir()
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // the status is asked for by exit
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // an error: it is gone already
		<-p.exited
		if t.Failed() {
			t.Logf("understudy %s\nstdout:\n%s\nstderr:\n%s", strings.Join(args, " "), p.stdout.text(), p.stderr.text())
		}
	})
	return p
}

func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(sig))
}

// exit waits for the end and returns the status.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.t.Fatalf("it did not end in %v", patience)
	}
	return p.cmd.ProcessState.ExitCode()
}

// finish runs the command to its end.
func finish(t *testing.T, env []string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	p := begin(t, env, args...)
	status = p.exit()
	return status, p.stdout.text(), p.stderr.text()
}

// stream is what a process writes, to be read and waited on.
type stream struct {
	mu   sync.Mutex
	all  bytes.Buffer
	more chan struct{} // closed and replaced by each write
}

func newStream() *stream { return &stream{more: make(chan struct{})} }

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all.Write(p)
	close(s.more)
	s.more = make(chan struct{})
	return len(p), nil
}

func (s *stream) text() string {
	text, _ := s.look()
	return text
}

func (s *stream) look() (string, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.String(), s.more
}

// line waits for a whole line that has part in it.
func (p *process) line(s *stream, part string) string {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		text, more := s.look()
		for r := bufio.NewReader(strings.NewReader(text)); ; {
			line, err := r.ReadString('\n')
			if err == io.EOF {
				break
			}
			if strings.Contains(line, part) {
				return line
			}
		}
		select {
		case <-more:
		case <-p.exited:
			if text, _ := s.look(); !strings.Contains(text, part) {
				p.t.Fatalf("it ended without %q", part)
			}
		case <-deadline:
			p.t.Fatalf("waited %v for %q", patience, part)
		}
	}
}

// server is a node that runs as a process.
type server struct {
	*process
	address
}

// ownNATS are the variables of a node with a server of its own on a free port.
func ownNATS(store string) []string {
	return []string{"UNDERSTUDY_CFG__NATS__EMBEDDED__LISTEN=127.0.0.1:-1", "UNDERSTUDY_CFG__NATS__EMBEDDED__STORE=" + store}
}

// serve starts a node and reads where it is.
func serve(t *testing.T, env []string, args ...string) *server {
	t.Helper()
	s := &server{process: begin(t, env, append([]string{"serve", "-o", "json"}, args...)...)}
	s.line(s.stdout, "}")
	require.NoError(t, json.Unmarshal([]byte(s.stdout.text()), &s.address))
	return s
}

// ask runs a command against the node. It must succeed.
func (s *server) ask(args ...string) string {
	s.t.Helper()
	status, stdout, stderr := s.try(args...)
	require.Zero(s.t, status, "understudy %s\n%s", strings.Join(args, " "), stderr)
	return stdout
}

func (s *server) try(args ...string) (status int, stdout, stderr string) {
	s.t.Helper()
	return finish(s.t, []string{"NATS_URL=" + s.NATS}, args...)
}

// write makes a file, whole at once.
func write(t *testing.T, path, text string) {
	t.Helper()
	temp := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(temp, []byte(text), 0o600))
	require.NoError(t, os.Rename(temp, path))
}
