package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// lockName is the file in the store directory that is locked and names the
// process that holds it.
const lockName = "understudy.lock"

// StoreLockedError says that another server uses the store directory.
type StoreLockedError struct {
	Dir string
	PID int // 0: not known
}

func (e *StoreLockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("store %s is in use by another understudy", e.Dir)
	}
	return fmt.Sprintf("store %s is in use by another understudy (pid %d)", e.Dir, e.PID)
}

// lockStore makes the store directory where there is none and takes its lock.
// nats-server takes none, and two of them ruin each other's files. The lock is
// the system's, so it ends with the process however that ends; the file stays,
// since removing it would let two processes lock two files of one name.
func lockStore(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = &StoreLockedError{Dir: dir, PID: readPID(f)}
	} else if err != nil {
		err = fmt.Errorf("store: cannot lock %s: %w", f.Name(), err)
	} else {
		err = writePID(f)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// unlockStore gives the lock back.
func unlockStore(f *os.File) {
	_ = f.Truncate(0) // who reads it next must not find us
	f.Close()
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

func readPID(f *os.File) int {
	var buf [32]byte
	n, _ := f.ReadAt(buf[:], 0)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	return pid
}
