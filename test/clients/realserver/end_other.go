//go:build !linux

package realserver

import (
	"os/exec"
	"syscall"
)

// endWithParent puts a command into a process group of its own. Only Linux can
// have it end with whoever started it.
func endWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
