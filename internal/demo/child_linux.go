package demo

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel kill the child when we die. A group of its own
// keeps the terminal's Ctrl-C from it: when it ends is the demo's to say.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
