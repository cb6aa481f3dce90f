//go:build !linux

package demo

import (
	"os/exec"
	"syscall"
)

// dieWithParent keeps the terminal's Ctrl-C from the child: when it ends is the
// demo's to say.
func dieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
