package embedded_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/understudy-go/understudy/cluster/embedded"
)

// waitForLock returns when nobody holds the store's lock.
func waitForLock(t *testing.T, store string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(store, "understudy.lock"), os.O_RDWR, 0)
	noError(t, err)
	noError(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	noError(t, f.Close())
}

func TestStoreIsLocked(t *testing.T) {
	cfg := local(t)
	first := start(t, cfg, nil)
	_, err := embedded.Start(context.Background(), cfg, nil)
	var locked *embedded.StoreLockedError
	holds(t, errors.As(err, &locked), "the store is locked")
	equal(t, *locked, embedded.StoreLockedError{Dir: cfg.Store, PID: os.Getpid()})

	first.Close()
	holder, err := os.ReadFile(filepath.Join(cfg.Store, "understudy.lock"))
	noError(t, err)
	equal(t, string(holder), "")
	start(t, cfg, nil)
}

func TestStoreLockedError(t *testing.T) {
	err := &embedded.StoreLockedError{Dir: "./understudy-data", PID: 123}
	equal(t, err.Error(), "store ./understudy-data is in use by another understudy (pid 123)")
	err.PID = 0
	equal(t, err.Error(), "store ./understudy-data is in use by another understudy")
}

// Another process holds the store, and its death frees it. It dies by SIGTERM:
// the embedded server leaves signals to whoever runs it.
func TestStoreIsLockedByAnotherProcess(t *testing.T) {
	cfg := local(t)
	holder := exec.Command(os.Args[0])
	holder.Env = append(os.Environ(), holderStore+"="+cfg.Store)
	stdin, err := holder.StdinPipe()
	noError(t, err)
	defer stdin.Close()
	stdout, err := holder.StdoutPipe()
	noError(t, err)
	var stderr strings.Builder
	holder.Stderr = &stderr
	noError(t, holder.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	noError(t, err)
	equal(t, line, "ready\n")

	_, err = embedded.Start(context.Background(), cfg, nil)
	holds(t, err != nil, "the store is locked")
	equal(t, err.Error(), fmt.Sprintf("store %s is in use by another understudy (pid %d)", cfg.Store, holder.Process.Pid))

	noError(t, holder.Process.Signal(syscall.SIGTERM))
	var exit *exec.ExitError
	holds(t, errors.As(holder.Wait(), &exit), "the holder ended")
	status := exit.Sys().(syscall.WaitStatus)
	holds(t, status.Signaled() && status.Signal() == syscall.SIGTERM, "it died of the signal")
	equal(t, stderr.String(), "")
	start(t, cfg, nil)
}
