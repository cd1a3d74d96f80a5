package connlimit

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
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
	of := func(addr string) *limitedConn { return &limitedConn{limit: limit, peer: netip.MustParseAddr(addr)} }
	first, second := of("192.0.2.1"), of("2001:db8::1")
	for i, want := range []bool{true, false, true, false} {
		if ok, instead := limit.enter([]*limitedConn{first, of("192.0.2.1"), second, {}}[i]); ok != want || instead != nil {
			t.Errorf("connection %d: place given %t, in the place of %v", i, ok, instead)
		}
	}
	limit.leave(first)
	limit.leave(second)
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

// TestStrangersGiveWay: with Vouching, a connection too many takes the place of the oldest that nobody has vouched for, and where
// all are known it is closed.
func TestStrangersGiveWay(t *testing.T) {
	limit := New(3, 2).Vouching()
	l := limit.Wrap(listen(t, "tcp", "127.0.0.1:0"))
	unix := limit.Wrap(listen(t, "unix", filepath.Join(t.TempDir(), "socket")))
	gone := func(conn net.Conn) bool {
		_, err := conn.Read(make([]byte, 1))
		return err != nil
	}
	dial(t, l)
	known := accept(t, l)
	Vouch(wrapped{known}, "edge")
	oldest := dial(t, l)
	accept(t, l)
	dial(t, l) // the peer has two: the one that nobody knows goes
	third := accept(t, l)
	if !gone(oldest) {
		t.Error("the stranger of the peer kept its place")
	}
	local := dial(t, unix)
	accept(t, unix)
	dial(t, unix) // three in all: the oldest stranger is the peer's
	fourth := accept(t, unix)
	Vouch(fourth, "other")
	if _, err := third.Write([]byte("x")); err == nil {
		t.Error("the oldest stranger in all kept its place")
	}
	dial(t, unix)
	accept(t, unix)
	if !gone(local) {
		t.Error("a stranger kept its place")
	}
	known.Close()
	known.Close()
	if limit.open != 2 || limit.strangers.Len() != 1 || len(limit.byPeer) != 0 {
		t.Errorf("%d open, %d strangers, peers %v", limit.open, limit.strangers.Len(), limit.byPeer)
	}
	Vouch(nil, "edge")
	Vouch(local, "edge") // accepted by nobody
}

// TestACallerLeavesRoom: what a caller has beyond a quarter of all places gives way to others.
func TestACallerLeavesRoom(t *testing.T) {
	limit := New(8, 8).Vouching()
	var mine []*limitedConn
	for range 8 {
		_, near := net.Pipe()
		conn := &limitedConn{Conn: near, limit: limit}
		if ok, _ := limit.enter(conn); !ok {
			t.Fatal("no place")
		}
		Vouch(conn, "greedy")
		Vouch(conn, "greedy")
		mine = append(mine, conn)
	}
	for i := range 7 {
		_, near := net.Pipe()
		conn := &limitedConn{Conn: near, limit: limit}
		ok, instead := limit.enter(conn)
		if want := i < 6; ok != want || want && instead != mine[2+i] {
			t.Errorf("newcomer %d: %t", i, ok)
		}
		Vouch(conn, string(rune('a'+i)))
	}
	for _, conn := range mine {
		conn.Close()
	}
	if limit.byCaller["greedy"] != 0 {
		t.Errorf("%v", limit.byCaller)
	}
}

// TestStrangersSendLittle: who is known may send any amount; a connection that nobody has vouched for is closed as soon as it brings
// more than its rate.
func TestStrangersSendLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const chunk = 1 << 10
		limit := New(9, 9).Vouching()
		open := func() (conn, far net.Conn) {
			far, near := net.Pipe()
			limited := &limitedConn{Conn: near, limit: limit}
			limit.enter(limited)
			go func() {
				for {
					if _, err := far.Write(make([]byte, chunk)); err != nil {
						return
					}
				}
			}()
			return limited, far
		}
		read := func(conn net.Conn, bytes int) error {
			_, err := io.CopyN(io.Discard, conn, int64(bytes))
			return err
		}
		conn, far := open()
		for range 100 {
			if err := read(conn, 64<<10); err != nil {
				t.Fatalf("64 KiB a second: %v", err)
			}
			time.Sleep(time.Second)
		}
		time.Sleep(time.Second) // the time between two bytes is rounded up
		if err := read(conn, 256<<10); err != nil {
			t.Errorf("256 KiB at once: %v", err)
		}
		if err := read(conn, chunk); !errors.Is(err, errTooMuch) || limit.open != 0 {
			t.Errorf("one more: %v, %d open", err, limit.open)
		}
		if _, err := far.Write([]byte("x")); err == nil {
			t.Error("it was not closed")
		}
		conn, far = open()
		defer far.Close()
		Vouch(conn, "edge")
		if err := read(conn, 10<<20); err != nil {
			t.Errorf("a caller's 10 MiB: %v", err)
		}
		conn.Close()
	})
}

// wrapped is a connection around another, as TLS makes one.
type wrapped struct{ net.Conn }

func (w wrapped) NetConn() net.Conn { return w.Conn }
