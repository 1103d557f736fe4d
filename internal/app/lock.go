package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gatehousehq/gatehouse/internal/datadir"
)

// An inUseError is for a data directory that another server has claimed.
type inUseError struct{ dir, holder string }

func (e *inUseError) Error() string {
	return fmt.Sprintf("another gatehouse server (process %s) uses the data directory %s: stop it, or give this one another --data-dir and --http-address", e.holder, e.dir)
}

// claim makes the data directory if it is missing, and keeps other servers out
// of it until release is called or the process ends.
func claim(dir string) (release func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("open the data directory: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the data directory %s can be read by others (mode %#o), and keys are kept in it: chmod 700 %s", dir, info.Mode().Perm(), dir)
	}
	f, err := os.OpenFile(filepath.Join(dir, datadir.Lock), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := io.ReadAll(io.LimitReader(f, 32)) // only for the message
		return nil, errors.Join(&inUseError{dir, strings.TrimSpace(string(holder))}, f.Close())
	}
	// Who holds it, for the message above. The file stays behind: removing it
	// would let a third server lock a new one beside it.
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt(fmt.Appendln(nil, os.Getpid()), 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the data directory: %w", err), f.Close())
	}
	return func() error {
		// Not by closing alone: a program that this process is just starting has a
		// copy of the descriptor until it runs.
		return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close())
	}, nil
}
