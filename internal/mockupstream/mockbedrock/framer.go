package mockbedrock

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/http"
)

// A framer turns a stream of server-sent events into one of AWS's messages as it
// is written.
type framer struct {
	w       http.ResponseWriter
	head    http.Header
	status  int
	pending bytes.Buffer
}

// Header implements [http.ResponseWriter]: Anthropic's headers do not come out of
// Bedrock.
func (f *framer) Header() http.Header {
	if f.head == nil {
		f.head = http.Header{}
	}
	return f.head
}

// WriteHeader implements [http.ResponseWriter].
func (f *framer) WriteHeader(status int) {
	f.status = status
	if status == http.StatusOK {
		f.w.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
		f.w.WriteHeader(status)
	}
}

// Unwrap lets a ResponseController at what is behind.
func (f *framer) Unwrap() http.ResponseWriter { return f.w }

// Flush implements [http.Flusher].
func (f *framer) Flush() { _ = http.NewResponseController(f.w).Flush() } // a client that has left is no one's loss

// Write implements [http.ResponseWriter].
func (f *framer) Write(p []byte) (int, error) {
	if f.status == 0 {
		f.WriteHeader(http.StatusOK)
	}
	f.pending.Write(p)
	for f.status == http.StatusOK {
		event, _, whole := bytes.Cut(f.pending.Bytes(), []byte("\n\n"))
		if !whole {
			break
		}
		for line := range bytes.SplitSeq(event, []byte("\n")) {
			if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
				payload := fmt.Appendf(nil, `{"bytes":%q,"p":"abcdefghijk"}`, base64.StdEncoding.EncodeToString(data))
				if _, err := f.w.Write(Frame(payload, ":event-type", "chunk", ":content-type", "application/json", ":message-type", "event")); err != nil {
					return 0, err
				}
			}
		}
		f.pending.Next(len(event) + 2)
	}
	return len(p), nil
}

// end says what an error was, if the stream never began.
func (f *framer) end() {
	if f.status != http.StatusOK && f.status != 0 {
		failAs(f.w, f.status, f.pending.Bytes())
	}
}

// Frame returns a message of AWS's framing: lengths and their checksum, headers
// that are strings, payload, checksum;
// https://smithy.io/2.0/aws/amazon-eventstream.html.
func Frame(payload []byte, headers ...string) []byte {
	var head []byte
	for i := 0; i < len(headers); i += 2 {
		head = append(head, byte(len(headers[i])))
		head = append(head, headers[i]...)
		head = append(head, 7) // a string follows
		head = binary.BigEndian.AppendUint16(head, uint16(len(headers[i+1])))
		head = append(head, headers[i+1]...)
	}
	m := binary.BigEndian.AppendUint32(nil, uint32(16+len(head)+len(payload)))
	m = binary.BigEndian.AppendUint32(m, uint32(len(head)))
	m = binary.BigEndian.AppendUint32(m, crc32.ChecksumIEEE(m))
	m = append(append(m, head...), payload...)
	return binary.BigEndian.AppendUint32(m, crc32.ChecksumIEEE(m))
}
