//go:build linux || darwin

package journal

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

func mmap(f *os.File, size int) ([]byte, error) {
	b, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if errors.Is(err, syscall.ENODEV) { // a file system without it
		return nil, errors.ErrUnsupported
	}
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", f.Name(), err)
	}
	return b, nil
}

func munmap(b []byte) error { return syscall.Munmap(b) }
