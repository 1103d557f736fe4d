package auditlog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// A Sink is somewhere outside the database that checkpoints are published to.
type Sink interface {
	Publish(ctx context.Context, p Published) error
	// String names the sink in the log. It shows no credential.
	String() string
}

// ParseSink returns the sink that spec names: "stdout", "file:PATH", or the URL
// of a webhook. stdout is where the first writes.
func ParseSink(spec string, stdout io.Writer) (Sink, error) {
	if spec == "stdout" {
		return &writerSink{w: stdout}, nil
	}
	if path, ok := strings.CutPrefix(spec, "file:"); ok && path != "" {
		return fileSink(path), nil
	}
	if u, err := url.Parse(spec); err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
		return &webhookSink{url: spec, host: u.Host, http: &http.Client{
			Timeout:       webhookTime,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}}, nil
	}
	return nil, errors.New("must be stdout, file: and a path, or an http or https URL")
}

func encode(p Published) ([]byte, error) {
	b, err := json.Marshal(p)
	return append(b, '\n'), err
}

type writerSink struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *writerSink) String() string { return "stdout" }

func (s *writerSink) Publish(_ context.Context, p Published) error {
	b, err := encode(p)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err = s.w.Write(b)
	return err
}

// A fileSink appends to the file of its name.
type fileSink string

func (s fileSink) String() string { return "file:" + string(s) }

func (s fileSink) Publish(_ context.Context, p Published) error {
	b, err := encode(p)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(string(s), os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	// A line that was cut by a crash must not take the next one with it.
	if end, err := f.Seek(0, io.SeekEnd); err == nil && end > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, end-1); err == nil && last[0] != '\n' {
			b = append([]byte("\n"), b...)
		}
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// Last returns the largest checkpoint in the file that was signed by key, the
// zero Checkpoint if there is none.
func (s fileSink) Last(key string) (last Checkpoint, err error) {
	content, err := os.ReadFile(string(s))
	if errors.Is(err, os.ErrNotExist) {
		return Checkpoint{}, nil
	}
	if err != nil {
		return Checkpoint{}, fmt.Errorf("read the checkpoints of the audit log: %w", err)
	}
	for line := range bytes.Lines(content) {
		var p Published
		if json.Unmarshal(line, &p) != nil || p.Key != key {
			continue // cut, or of another database
		}
		if c, err := OpenCheckpoint(p.Checkpoint, key); err == nil && c.Size > last.Size {
			last = c
		}
	}
	return last, nil
}

const webhookTime = 10 * time.Second

// A webhookSink posts to a URL, which may hold a credential.
type webhookSink struct {
	url, host string
	http      *http.Client
}

func (s *webhookSink) String() string { return "webhook at " + s.host }

func (s *webhookSink) Publish(ctx context.Context, p Published) error {
	b, err := encode(p)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(b))
	if err != nil {
		return errors.New("the URL cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the URL
		}
		return err
	}
	_ = resp.Body.Close() // its status is all there is to it
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("it answered %d", resp.StatusCode)
	}
	return nil
}
