//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Just enough of HTTP/1.1 for messages that are known beforehand, without the
// cost of a library: the mock upstream reads requests with it, the load
// generator answers.

// A header is what a message says of its body.
type header struct {
	length  int64
	chunked bool
}

var errMalformed = errors.New("malformed HTTP message")

// readHeader reads the lines after the first one.
func readHeader(in *bufio.Reader) (header, error) {
	var h header
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return h, fmt.Errorf("read the header: %w", err)
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return h, nil
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return h, errMalformed
		}
		switch value = bytes.TrimSpace(value); {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if h.length, err = strconv.ParseInt(string(value), 10, 64); err != nil {
				return h, errMalformed
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			h.chunked = bytes.EqualFold(value, []byte("chunked"))
		}
	}
}

// body reads the body and returns its size. Each piece of a chunked body is
// shown to see, if that is not nil.
func (h header) body(in *bufio.Reader, see func([]byte) error) (int64, error) {
	if !h.chunked {
		return io.CopyN(io.Discard, in, h.length)
	}
	var total int64
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return total, fmt.Errorf("read a chunk: %w", err)
		}
		size, err := strconv.ParseInt(string(bytes.TrimRight(line, "\r\n")), 16, 32)
		if err != nil {
			return total, errMalformed
		}
		if see != nil && size > 0 {
			piece, err := in.Peek(int(size))
			if err != nil {
				return total, fmt.Errorf("read a chunk: %w", err)
			}
			if err := see(piece); err != nil {
				return total, err
			}
		}
		if _, err := in.Discard(int(size) + len("\r\n")); err != nil {
			return total, fmt.Errorf("read a chunk: %w", err)
		}
		if size == 0 {
			return total, nil
		}
		total += size
	}
}
