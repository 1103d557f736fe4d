package transport

import (
	"bytes"
	"io"
)

// A stage is where in a chunk we are.
type stage uint8

const (
	atSize stage = iota
	inData
	afterData
	inTrailer
)

const (
	// maxChunkLine bounds the line before a chunk, with what extends it.
	maxChunkLine = 1 << 10
	// maxExcess bounds how much more those lines are than what they carry, see
	// net/http/internal: a byte a chunk is honest, a long line a byte is not.
	maxExcess = 16 << 10
	// maxTrailer bounds the trailer, which is dropped.
	maxTrailer = 16 << 10
)

// nextOfChunks returns the data of all the chunks that have come. It moves them
// together in the buffer, over the lines between them.
func (x *Body) nextOfChunks(wait bool) ([]byte, error) {
	in := &x.in
	start := in.r
	end := start // of the data
	for {
		end += x.takeData(end)
		more, err := x.takeLine()
		switch {
		case err != nil:
			return in.b[start:end], err
		case more:
			continue
		case end > start || !wait:
			return in.b[start:end], nil
		}
		if err := in.fill(); err != nil {
			return nil, early(err)
		}
		start, end = in.r, in.r
	}
}

// takeData moves what is there of a chunk's data to end, and returns how much
// it is.
func (x *Body) takeData(end int) int {
	in := &x.in
	if x.stage != inData {
		return 0
	}
	n := int(min(x.left, int64(in.w-in.r)))
	if end != in.r {
		copy(in.b[end:], in.b[in.r:in.r+n])
	}
	in.r += n
	if x.left -= int64(n); x.left == 0 {
		x.stage = afterData
	}
	return n
}

// takeLine takes one of the lines around the data, if it is there. It returns
// io.EOF for the last one.
func (x *Body) takeLine() (more bool, err error) {
	in := &x.in
	if x.stage == inData {
		return false, nil
	}
	have := in.b[in.r:in.w]
	i := bytes.IndexByte(have, '\n')
	switch {
	case x.stage == afterData && len(have) > 0 && have[0] != '\r', x.stage == afterData && len(have) > 1 && i != 1:
		return false, malformed("the end of a chunk")
	case i < 0 && len(have) > maxChunkLine, i > maxChunkLine:
		return false, malformed("a line of a chunked body is too long")
	case i < 0:
		return false, nil
	case i == 0 || have[i-1] != '\r':
		return false, malformed("the end of a line in a chunked body")
	}
	line := have[:i+1]
	in.r += i + 1
	switch x.stage {
	case afterData:
		x.stage = atSize
	case atSize:
		x.left, err = chunkSize(line[:i-1])
		if err != nil {
			return false, err
		}
		if x.excess = max(x.excess+len(line)-16-int(min(x.left, maxExcess))*2, 0); x.excess > maxExcess {
			return false, malformed("a chunked body with too much beside its data")
		}
		if x.stage = inData; x.left == 0 {
			x.stage, x.excess = inTrailer, 0
		}
	case inTrailer:
		if i == 1 {
			return false, io.EOF
		}
		if x.excess += len(line); x.excess > maxTrailer {
			return false, malformed("a trailer that is too long")
		}
		return true, canonical(line)
	}
	return true, nil
}

// chunkSize parses the line before a chunk: hexadecimal digits, spaces, and
// extensions, which nobody uses.
func chunkSize(line []byte) (int64, error) {
	digits, extension, _ := bytes.Cut(line, []byte(";"))
	digits = bytes.TrimRight(digits, " \t")
	if len(digits) == 0 || len(digits) > 15 {
		return 0, malformed("the size of a chunk")
	}
	var n int64
	for _, c := range digits {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, malformed("the size of a chunk")
		}
		n = n<<4 | int64(c)
	}
	for _, c := range extension {
		if c < ' ' && c != '\t' || c == 0x7f {
			return 0, malformed("an extension of a chunk")
		}
	}
	return n, nil
}
