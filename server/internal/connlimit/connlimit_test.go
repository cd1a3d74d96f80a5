package connlimit

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
)

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func dial(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func accept(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestLimit: one connection too many is closed at once, for a peer and in all; a place comes back when its connection is
// closed, exactly once.
func TestLimit(t *testing.T) {
	limit := New(3, 2)
	tcp := limit.Wrap(listen(t, "tcp", "127.0.0.1:0"))
	unix := limit.Wrap(listen(t, "unix", filepath.Join(t.TempDir(), "socket")))

	dial(t, tcp)
	dial(t, tcp)
	first := accept(t, tcp)
	accept(t, tcp)

	third := dial(t, tcp) // its peer has two; Accept closes it and waits for the next
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, err := tcp.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- conn
	}()
	if _, err := third.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && err == nil {
		t.Errorf("one too many: %v, want it closed", err)
	}

	first.Close()
	first.Close() // gives nothing back
	dial(t, tcp)
	defer (<-accepted).Close()

	dial(t, unix) // no address, so only the total of 3 counts
	accept(t, unix)
	fourth := dial(t, unix)
	go func() {
		if conn, err := unix.Accept(); err == nil {
			t.Error("one too many was accepted")
			conn.Close()
		}
	}()
	if _, err := fourth.Read(make([]byte, 1)); err == nil {
		t.Error("one too many in all was not closed")
	}
	unix.Close()
}

// TestLimitForgetsPeers: who has no connection takes no memory.
func TestLimitForgetsPeers(t *testing.T) {
	limit := New(2, 1)
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	if !limit.enter(a) || limit.enter(a) || !limit.enter(b) || limit.enter(netip.Addr{}) {
		t.Error("places given wrongly")
	}
	limit.leave(a)
	limit.leave(b)
	if limit.open != 0 || len(limit.byPeer) != 0 {
		t.Errorf("%d open, peers %v", limit.open, limit.byPeer)
	}
}

// TestNetConn: what was wrapped before is still found, and closing what was accepted is still what gives the place back.
func TestNetConn(t *testing.T) {
	limit := New(1, 1)
	inner := listen(t, "tcp", "127.0.0.1:0")
	dial(t, inner)
	conn := accept(t, limit.Wrap(inner))
	wrapper, ok := conn.(interface{ NetConn() net.Conn })
	if !ok {
		t.Fatalf("%T has no NetConn", conn)
	}
	if _, ok := wrapper.NetConn().(*net.TCPConn); !ok {
		t.Errorf("underneath is a %T, want the TCP connection that was accepted", wrapper.NetConn())
	}
	conn.Close()
	if limit.open != 0 {
		t.Errorf("%d open after Close", limit.open)
	}
}
