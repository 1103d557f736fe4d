package clients_test

import (
	"bufio"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/test/clients/realserver"
)

// What a newcomer starts first serves the SDKs, with nothing configured.
func TestDemoServesTheSDKs(t *testing.T) {
	t.Parallel()
	needNode(t, "openai", "@anthropic-ai/sdk", "@google/genai")
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	addr, err := realserver.FreeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "demo", "--stay", "--http-address", addr)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir()}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	token, ready := secret.Text{}, false
	for !ready && lines.Scan() {
		if m := regexp.MustCompile(`gate_[0-9A-Za-z]{38}`).FindString(lines.Text()); m != "" {
			token = secret.New(m)
		}
		ready = strings.HasPrefix(lines.Text(), "Ready for your clients")
	}
	if !ready || token.IsZero() {
		t.Fatalf("the demo ended early: %v", cmd.Wait())
	}
	stopped := make(chan error, 1)
	requests := 0
	go func() { // ends with the demo
		for lines.Scan() {
			if strings.Contains(lines.Text(), "key 2: 200") {
				requests++
			}
		}
		stopped <- cmd.Wait()
	}()

	if out, err := runJavaScript(t, "http://"+addr, token); err != nil {
		t.Errorf("%v\n%s", err, out)
	}

	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Ctrl-C: %v", err)
	}
	if requests < 10 {
		t.Errorf("the demo showed %d requests that the second key answered", requests)
	}
}
