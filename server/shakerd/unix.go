package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// socketMode lets only the user that the service runs as connect. The file may say otherwise: where callers are known, others
// may knock.
const socketMode fs.FileMode = 0o600

// listenUnix listens on path, which is removed when the listener is closed. From its first moment the socket lets nobody connect
// whom mode does not.
// What a server left behind that did not end in order is removed first.
func listenUnix(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error) {
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	config := net.ListenConfig{Control: modeAtBirth(mode)}
	l, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil { // where modeAtBirth has no effect; nobody was accepted yet
		l.Close()
		return nil, err
	}
	return l, nil
}

// removeStale removes the socket at path if nobody answers there any more. What is not a socket, and what answers, stays,
// and is an error. Two servers that start on one path at the same moment can both find it stale; one of them then has no
// path.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("the file exists and is not a socket")
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err == nil {
		conn.Close()
		return errors.New("another server listens there")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) { // not allowed, or busy: somebody may be there
		return fmt.Errorf("the socket exists and may be in use: %w", err)
	}
	return os.Remove(path)
}
