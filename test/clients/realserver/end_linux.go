package realserver

import (
	"os/exec"
	"syscall"
)

// endWithParent puts a command into a process group of its own, and has it killed
// when whoever started it dies without stopping it.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
