package canary_test

import (
	"fmt"
	"os"
	"path/filepath"
)

// fileFaults are what can happen to the files of a server, before it starts or
// while it runs. As root no file is ever read-only, so they are what root
// stumbles over, too.
var fileFaults = []step{
	{"owner-token is a directory", func(h *house) { h.asDirectory("owner-token") }},
	{"audit-checkpoints is a directory", func(h *house) { h.asDirectory("audit-checkpoints") }},
	{"encryption-key is a directory", func(h *house) { h.asDirectory("encryption-key") }},
	{"half of owner-token", func(h *house) {
		h.without("owner-token", func(file string, content []byte) {
			h.write(file, content[:len(content)/2])
		})
	}},
	{"owner-token of somebody else", func(h *house) {
		h.without("owner-token", func(file string, _ []byte) { h.write(file, []byte(h.vault.one("token that nobody has")+"\n")) })
	}},
	{"audit-checkpoints is cut, with a secret in it", func(h *house) {
		h.without("audit-checkpoints", func(file string, content []byte) { h.write(file, content[:len(content)/2]) })
	}},
	{"a first start that fails", func(h *house) {
		h.names++
		h.faults.arm("fails", 1+h.names%30)
		h.start(fmt.Sprint("first start ", h.names), h.newDir(fmt.Sprint("first-", h.names)))
		h.faults.disarm()
	}},
	{"a start in a directory that is in use", func(h *house) { h.start("in use", h.dir) }},
	{"a start that is wrong", func(h *house) {
		h.names++
		h.startBadly(badStarts[h.names%len(badStarts)])
	}},
}

// asDirectory has a directory in the place of a file while things go on.
func (h *house) asDirectory(name string) {
	h.without(name, func(file string, _ []byte) {
		if err := os.Mkdir(file, 0o700); err != nil {
			h.t.Error(err)
		}
	})
}

// without has something else in the place of a file while things go on.
func (h *house) without(name string, put func(file string, content []byte)) {
	h.t.Helper()
	file := filepath.Join(h.dir, name)
	content, err := os.ReadFile(file)
	there := err == nil
	aside := filepath.Join(h.base, "aside")
	if there {
		if err := os.Rename(file, aside); err != nil {
			h.t.Error(err)
		}
	}
	put(file, content)
	h.call("openai", "/v1/chat/completions", false)
	h.api("POST", "/api/v1/encryption-keys/verify", object{})
	if err := os.RemoveAll(file); err != nil {
		h.t.Error(err)
	}
	if there {
		if err := os.Rename(aside, file); err != nil {
			h.t.Error(err)
		}
	}
}
