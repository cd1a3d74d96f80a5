package main

import (
	"context"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// openUmask lets every mode through for the test, so that a socket has no more than what the code gives it.
func openUmask(t *testing.T) {
	t.Helper()
	old := syscall.Umask(0)
	t.Cleanup(func() { syscall.Umask(old) })
}

func modeOf(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode()
}

// TestModeAtBirth looks at a socket before anything else could have set its mode.
func TestModeAtBirth(t *testing.T) {
	openUmask(t)
	path := filepath.Join(t.TempDir(), "s")
	config := net.ListenConfig{Control: modeAtBirth(socketMode)}
	l, err := config.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := modeOf(t, path); got != fs.ModeSocket|socketMode {
		t.Errorf("mode %v, want %v", got, fs.ModeSocket|socketMode)
	}
}

func TestListenUnix(t *testing.T) {
	openUmask(t)
	path := filepath.Join(t.TempDir(), "s")
	l, err := listenUnix(t.Context(), path, socketMode)
	if err != nil {
		t.Fatal(err)
	}
	if got := modeOf(t, path); got != fs.ModeSocket|socketMode {
		t.Errorf("mode %v, want %v", got, fs.ModeSocket|socketMode)
	}
	if got, want := addressOf(l), "unix:"+path; got != want {
		t.Errorf("address %q, want %q", got, want)
	}

	// Who answers there is left alone.
	if second, err := listenUnix(t.Context(), path, socketMode); err == nil || !strings.Contains(err.Error(), "another server") {
		t.Errorf("beside a live server: %v, %v", second, err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Errorf("the live server's socket is gone: %v", err)
	} else {
		conn.Close()
	}

	l.Close()
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket outlives its listener")
	}
}

// TestStaleSocket: what a server leaves that was killed does not keep the next one from starting.
func TestStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	modeOf(t, path) // it is there

	l, err := listenUnix(t.Context(), path, socketMode)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// TestOtherFiles: only sockets are removed, and not through symbolic links.
func TestOtherFiles(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "nowhere"), link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link, dir} {
		if l, err := listenUnix(t.Context(), path, socketMode); err == nil || !strings.Contains(err.Error(), "not a socket") {
			t.Errorf("%s: %v, %v", path, l, err)
		}
		modeOf(t, path)
	}
	if l, err := listenUnix(t.Context(), filepath.Join(dir, "no", "such", "directory"), socketMode); err == nil {
		l.Close()
		t.Error("listens in a directory that does not exist")
	}
}

// TestBusySocket: a server whose queue is full answers nobody, and yet it is alive.
func TestBusySocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	first, err := net.Dial("unix", path) // fills it
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if err := removeStale(context.Background(), path); err == nil || !strings.Contains(err.Error(), "may be in use") {
		t.Errorf("a busy server's socket: %v", err)
	}
	modeOf(t, path)
}
