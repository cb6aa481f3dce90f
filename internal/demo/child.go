package demo

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
)

// child is one instance of the order service: a process that cannot outlive this
// one. It ends with its standard input, which the system closes for us however we
// end, and on Linux the kernel kills it too.
type child struct {
	id  string
	url string
	pid int

	process *os.Process
	stdin   io.Closer
	gone    chan struct{} // closed when the process has ended
}

// startChild runs command with id and address as further arguments and waits for
// the URL that it prints.
func startChild(command []string, id, address string) (*child, error) {
	cmd := exec.Command(command[0], append(command[1:len(command):len(command)], id, address)...)
	cmd.Stderr = os.Stderr
	dieWithParent(cmd)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, stdin.Close())
	}
	c := &child{id: id, stdin: stdin, gone: make(chan struct{})}
	started := make(chan error)
	line := make(chan string, 1)
	go func() {
		// The kernel's promise is bound to the thread that starts the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		defer close(c.gone)
		text, _ := bufio.NewReader(stdout).ReadString('\n')
		line <- strings.TrimSpace(text)
		_ = cmd.Wait() // it is always killed
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	c.process, c.pid = cmd.Process, cmd.Process.Pid
	if c.url = <-line; c.url == "" {
		c.kill()
		return nil, fmt.Errorf("%s did not start at %s", id, address)
	}
	return c, nil
}

// kill ends it without a word (SIGKILL), and returns when it is gone.
func (c *child) kill() {
	_ = c.process.Signal(syscall.SIGKILL) // an error: it is gone
	<-c.gone
	_ = c.stdin.Close()
}

// address is where it listens, for the one that takes its place.
func (c *child) address() string { return strings.TrimPrefix(c.url, "http://") }
