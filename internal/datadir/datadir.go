// Package datadir knows the directory that a server keeps its files in, which
// the command line looks into for the owner's token.
package datadir

import (
	"os"
	"path/filepath"
)

// The files of a data directory.
const (
	Database      = "gatehouse.db"   // the SQLite database
	EncryptionKey = "encryption-key" // the key-encrypting key
	OwnerToken    = "owner-token"    // a token of the owner, for the first steps
	// AuditCheckpoints is where checkpoints of the audit log are published to, if
	// nowhere else.
	AuditCheckpoints = "audit-checkpoints"
	// Journal is the directory of records of requests that the database does not
	// have yet.
	Journal = "journal"
	Lock    = "lock" // held by the server that uses the directory
)

// Default returns the data directory that is used when none is named: for root
// /var/lib/gatehouse, else gatehouse in $XDG_DATA_HOME or ~/.local/share. It is
// "" if there is no home directory.
func Default() string {
	if os.Geteuid() == 0 {
		return "/var/lib/gatehouse"
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) { // the specification has others ignored
		return filepath.Join(dir, "gatehouse")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".local", "share", "gatehouse")
}
