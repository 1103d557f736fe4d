package journal

import (
	"errors"
	"os"
)

// OpenPlain opens a journal that writes by system calls.
func OpenPlain(dir string, cfg Config) (*Journal, error) {
	mk := system
	mk.allocate = func(*os.File, int) error { return errors.ErrUnsupported }
	return open(dir, cfg, mk)
}

// OpenOn opens a journal on a disk that has to be asked for room.
func OpenOn(dir string, cfg Config, ask func() error) (*Journal, error) {
	mk := system
	mk.allocate = func(f *os.File, size int) error {
		if err := ask(); err != nil {
			return err
		}
		return system.allocate(f, size)
	}
	return open(dir, cfg, mk)
}

// Segments returns how many segments there are, the spare included.
func (j *Journal) Segments() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.count()
}

// Shipping reports whether Ship has been called.
func (j *Journal) Shipping() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.stopShipping != nil
}
