package crash_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// A recorder is a VFS of SQLite that hands everything on to the one of the
// platform and notes what is written below one directory, in order. While it is
// at work it is the default VFS of the process, so that the store is opened as
// it always is and needs no door for tests.
//
// SQLite knows a VFS, and a file, by addresses of C. Both are copies of what the
// platform's VFS has, with some of the functions replaced by those at the end of
// this file: locks, shared memory and reading are the platform's own.
type recorder struct {
	dir string
	// synchronous is what the pragma of that name is turned into, 0 for what it
	// says: the store always asks for FULL, and a control must not get it.
	synchronous byte

	mu    sync.Mutex
	trace []op                  // guarded by mu
	files map[uintptr]*openFile // by the address of its sqlite3_file, guarded by mu
	known map[string]bool       // files that exist, guarded by mu

	tls           *libc.TLS
	platform, own uintptr             // sqlite3_vfs
	methods       map[uintptr]uintptr // sqlite3_io_methods of the platform: ours. Guarded by mu
}

// An openFile is a file that SQLite has open and whose writes are noted.
type openFile struct {
	name string
	real *sqlite3.Tsqlite3_io_methods
}

// active is the recorder that the functions below work for. They are called from
// C with nothing but addresses, so it has to be a variable of the package.
var active *recorder

// startRecording begins to note what is written below dir. There can be one
// recorder at a time, so tests that use it are not parallel.
func startRecording(dir string, synchronous byte) (*recorder, error) {
	if active != nil {
		return nil, errors.New("another recorder is at work")
	}
	dir, err := filepath.EvalSymlinks(dir) // SQLite does so, too
	if err != nil {
		return nil, err
	}
	r := &recorder{
		dir: dir, synchronous: synchronous, tls: libc.NewTLS(),
		files: map[uintptr]*openFile{}, known: map[string]bool{}, methods: map[uintptr]uintptr{},
	}
	if r.platform = sqlite3.Xsqlite3_vfs_find(r.tls, 0); r.platform == 0 {
		return nil, errors.New("there is no VFS to stand on")
	}
	name, err := libc.CString("gatehouse-recorder")
	if err != nil {
		return nil, err
	}
	r.own = clone(r.tls, at[sqlite3.Tsqlite3_vfs](r.platform))
	vfs := at[sqlite3.Tsqlite3_vfs](r.own)
	vfs.FzName = name
	vfs.FxOpen, vfs.FxDelete = address(vfsOpen), address(vfsDelete)
	active = r
	if rc := sqlite3.Xsqlite3_vfs_register(r.tls, r.own, 1); rc != sqlite3.SQLITE_OK {
		active = nil
		return nil, fmt.Errorf("register the VFS: SQLite says %d", rc)
	}
	return r, nil
}

// stop gives the platform's VFS its place back. All files must be closed, for
// SQLite calls through the VFS until they are.
func (r *recorder) stop() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.files); n > 0 {
		return fmt.Errorf("%d files are open still", n)
	}
	if rc := sqlite3.Xsqlite3_vfs_unregister(r.tls, r.own); rc != sqlite3.SQLITE_OK {
		return fmt.Errorf("unregister the VFS: SQLite says %d", rc)
	}
	libc.Xfree(r.tls, at[sqlite3.Tsqlite3_vfs](r.own).FzName)
	libc.Xfree(r.tls, r.own)
	for _, m := range r.methods {
		libc.Xfree(r.tls, m)
	}
	r.tls.Close()
	active = nil
	return nil
}

func (r *recorder) note(o op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trace = append(r.trace, o)
}

// writes returns how many writes a file has had.
func (r *recorder) writes(file string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.trace {
		if o.kind == opWrite && o.file == file {
			n++
		}
	}
	return n
}

// open has SQLite call us for the file at address f, if it is one of those that
// must survive: the database, its WAL and its journal. Temporary files need not,
// and the shared memory beside a WAL is made anew after a crash.
func (r *recorder) open(f uintptr, path string, flags int32) {
	const durable = sqlite3.SQLITE_OPEN_MAIN_DB | sqlite3.SQLITE_OPEN_WAL | sqlite3.SQLITE_OPEN_MAIN_JOURNAL
	name, below := r.below(path)
	methods := &at[sqlite3.Tsqlite3_file](f).FpMethods
	if !below || flags&durable == 0 || *methods == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	file := &openFile{name, at[sqlite3.Tsqlite3_io_methods](*methods)}
	if r.methods[*methods] == 0 {
		m := clone(r.tls, file.real)
		own := at[sqlite3.Tsqlite3_io_methods](m)
		own.FxClose, own.FxWrite, own.FxTruncate = address(fileClose), address(fileWrite), address(fileTruncate)
		own.FxSync, own.FxFileControl = address(fileSync), address(fileControl)
		// Without the memory map of version 3 every write comes by our way.
		own.FiVersion = min(own.FiVersion, 2)
		r.methods[*methods] = m
	}
	*methods = r.methods[*methods]
	r.files[f] = file
	if !r.known[name] {
		r.known[name] = true
		r.trace = append(r.trace, op{kind: opCreate, file: name})
	}
}

func (r *recorder) below(path string) (name string, ok bool) {
	dir, name := filepath.Split(path)
	return name, filepath.Clean(dir) == r.dir
}

func (r *recorder) file(f uintptr) *openFile {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.files[f]
}

// The rest is called by SQLite. Each function does what the platform's does, and
// notes it if that went well.

func vfsOpen(tls *libc.TLS, vfs, name, f uintptr, flags int32, outFlags uintptr) int32 {
	open := function[func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32](at[sqlite3.Tsqlite3_vfs](active.platform).FxOpen)
	rc := open(tls, vfs, name, f, flags, outFlags)
	if rc == sqlite3.SQLITE_OK && name != 0 {
		active.open(f, libc.GoString(name), flags)
	}
	return rc
}

func vfsDelete(tls *libc.TLS, vfs, name uintptr, syncDir int32) int32 {
	remove := function[func(*libc.TLS, uintptr, uintptr, int32) int32](at[sqlite3.Tsqlite3_vfs](active.platform).FxDelete)
	rc := remove(tls, vfs, name, syncDir)
	if file, below := active.below(libc.GoString(name)); below && rc == sqlite3.SQLITE_OK {
		active.note(op{kind: opRemove, file: file})
		active.mu.Lock()
		defer active.mu.Unlock()
		delete(active.known, file)
	}
	return rc
}

func fileClose(tls *libc.TLS, f uintptr) int32 {
	file := active.file(f)
	rc := function[func(*libc.TLS, uintptr) int32](file.real.FxClose)(tls, f)
	active.mu.Lock()
	defer active.mu.Unlock()
	delete(active.files, f)
	return rc
}

func fileWrite(tls *libc.TLS, f, buf uintptr, n int32, offset int64) int32 {
	file := active.file(f)
	rc := function[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](file.real.FxWrite)(tls, f, buf, n, offset)
	if rc == sqlite3.SQLITE_OK {
		active.note(op{kind: opWrite, file: file.name, offset: offset, data: bytes.Clone(unsafe.Slice(at[byte](buf), n))})
	}
	return rc
}

func fileTruncate(tls *libc.TLS, f uintptr, size int64) int32 {
	file := active.file(f)
	rc := function[func(*libc.TLS, uintptr, int64) int32](file.real.FxTruncate)(tls, f, size)
	if rc == sqlite3.SQLITE_OK {
		active.note(op{kind: opTruncate, file: file.name, offset: size})
	}
	return rc
}

func fileSync(tls *libc.TLS, f uintptr, flags int32) int32 {
	file := active.file(f)
	rc := function[func(*libc.TLS, uintptr, int32) int32](file.real.FxSync)(tls, f, flags)
	if rc == sqlite3.SQLITE_OK {
		active.note(op{kind: opSync, file: file.name})
	}
	return rc
}

// fileControl hears of each pragma before SQLite obeys it: arg is an array of
// three strings, of which the second is its name and the third its value, which
// may be written to.
func fileControl(tls *libc.TLS, f uintptr, code int32, arg uintptr) int32 {
	if code == sqlite3.SQLITE_FCNTL_PRAGMA && active.synchronous != 0 {
		pragma := at[[3]uintptr](arg)
		if value := pragma[2]; value != 0 && strings.EqualFold(libc.GoString(pragma[1]), "synchronous") {
			copy(unsafe.Slice(at[byte](value), 2), []byte{active.synchronous, 0})
		}
	}
	return function[func(*libc.TLS, uintptr, int32, uintptr) int32](active.file(f).real.FxFileControl)(tls, f, code, arg)
}

// at returns the T at an address of C, which the garbage collector neither
// moves nor frees.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// clone returns the address of a copy of v, in C's memory.
func clone[T any](tls *libc.TLS, v *T) uintptr {
	p := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(*v)))
	if p == 0 {
		panic("out of memory") // C has no other way to say so
	}
	*at[T](p) = *v
	return p
}

// address returns a function of this package as C's code of modernc.org/sqlite
// has it: the address of what a func value points to. function is its inverse.
func address[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) }

func function[F any](address uintptr) F { return *(*F)(unsafe.Pointer(&address)) }

// TestTheRecorderIsGoneAfterwards holds that what opens a database later is not
// recorded, and that two do not work at once.
func TestTheRecorderIsGoneAfterwards(t *testing.T) {
	r, err := startRecording(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := startRecording(t.TempDir(), 0); err == nil {
		t.Error("a second recorder began")
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	tls := libc.NewTLS()
	defer tls.Close()
	if now := sqlite3.Xsqlite3_vfs_find(tls, 0); now != r.platform {
		t.Error("the platform's VFS is not the default again")
	}
}
