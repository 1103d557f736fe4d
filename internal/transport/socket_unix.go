//go:build unix

package transport

import (
	"io"
	"net"
	"os"
	"syscall"
)

// pending reports whether something can be read from a socket, be it its end.
func pending(fd uintptr) bool {
	var b [1]byte
	for {
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if err != syscall.EINTR {
			return err != syscall.EAGAIN
		}
	}
}

// readLate reads into a buffer that it gets for in once there is something to
// read. It makes the same system calls as Read does. If it cannot do that for
// this connection, it does nothing.
func (c *conn) readLate(in *input) (int, error) {
	if c.raw == nil || c.secure != nil {
		return 0, nil
	}
	c.in, c.n, c.err = in, 0, nil
	err := c.raw.Read(c.try)
	c.in = nil
	switch {
	case err != nil:
		return 0, err
	case c.err != nil:
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", c.err)}
	case c.n == 0:
		return 0, io.EOF
	}
	return c.n, nil
}

// tryRead is called when there may be something to read. It reports whether
// there was.
func (c *conn) tryRead(fd uintptr) bool {
	c.in.acquire(c.in.size())
	for {
		n, err := syscall.Read(int(fd), c.in.b)
		switch err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			c.in.release()
			return false
		case nil:
			c.n = n
		default:
			c.err = err
		}
		return true
	}
}
