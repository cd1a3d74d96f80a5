//go:build !race

package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// failedReloads is what /metrics says of them.
func (s *served) failedReloads() (failed, stale float64) {
	s.t.Helper()
	return s.metric(`tcpshaker_config_reloads_total{result="failed"}`), s.metric("tcpshaker_config_stale")
}

// reloadAny asks for a reload, and reports whether it was one.
func (s *served) reloadAny() bool {
	s.t.Helper()
	first := s.log.len()
	s.signal(syscall.SIGHUP)
	return strings.Contains(s.log.await(s.t, first, "\"why\":\"SIGHUP\""), loaded)
}

// TestReloadTorn: while honest callers are at work, no part of a file and nothing that stands in its place does harm: no honest check
// fails, a denied target stays denied, and what cannot be loaded leaves what was loaded before in force, and is told. A good file
// takes effect then, in a running stream as well.
func TestReloadTorn(t *testing.T) {
	p := newPlace(t)
	s := p.serve()
	client := s.client()
	stream := s.open(s.dial("127.0.0.1", honestToken))
	ctx, cancel := context.WithCancel(t.Context())
	var seen honesty
	var group sync.WaitGroup
	group.Go(func() { seen = s.honest(ctx, client) })
	defer group.Wait()
	defer cancel()

	good := p.config()
	t.Run("cut", func(t *testing.T) {
		refused, taken := 0, 0
		for _, end := range cuts(good) {
			p.tear("shakerd.yaml", []byte(good[:end]))
			before, _ := s.failedReloads()
			if s.reloadAny() { // of the callers some are whole, and the honest one is the first
				taken++
			} else {
				refused++
				if failed, stale := s.failedReloads(); failed != before+1 || stale != 1 {
					t.Errorf("%d bytes: %v failures after %v, stale %v; want one more, and 1", end, failed, before, stale)
				}
			}
			s.goesOn(stream)
			p.tear("shakerd.yaml", []byte(good))
			if !s.reloadAny() {
				t.Fatal("the whole file is not taken")
			}
		}
		if _, stale := s.failedReloads(); stale != 0 {
			t.Errorf("stale %v after the whole file, want 0", stale)
		}
		t.Logf("%d parts refused, %d taken", refused, taken)
		if refused == 0 || taken == 0 {
			t.Error("want some of each")
		}
	})
	t.Run("raced", func(t *testing.T) {
		for _, end := range cuts(good) {
			first := s.log.len()
			p.tear("shakerd.yaml", []byte(good[:end]))
			s.signal(syscall.SIGHUP) // it reads what there is when it comes to it
			p.tear("shakerd.yaml", []byte(good))
			s.log.await(t, first, "\"why\":\"SIGHUP\"") // no signal is left over for later
		}
		s.goesOn(stream)
		if !s.reloadAny() || s.metric("tcpshaker_config_stale") != 0 {
			t.Fatal("the whole file is not taken")
		}
	})
	for name, text := range map[string]string{
		"empty":             "",
		"garbage":           string([]byte{0, 0xff, 0x1b, '\n', 0xc3, 0x28, '{', '[', '%'}),
		"not YAML":          strings.Repeat("[", 1000),
		"without callers":   p.withoutCallers(),
		"no callers":        p.withoutCallers() + "callers: []\n",
		"null callers":      p.withoutCallers() + "callers:\n",
		"another listen":    strings.Replace(good, `"127.0.0.1:0"`, `"127.0.0.2:0"`, 1),
		"open to all":       strings.Replace(good, `"127.0.0.1:0"`, `"0.0.0.0:0"`, 1),
		"without tls":       "listen: [{address: 127.0.0.1:0}]\n" + good[strings.Index(good, "\n")+1:],
		"an unknown key":    good + "denied: []\n",
		"a bad rule":        strings.Replace(good, "127.0.0.1:*", "127.0.0.1/33:*", 1),
		"callers twice":     good + "callers: []\n",
		"the same identity": good + strings.Replace(p.honest(), "honest", "other", 1),
	} {
		t.Run(name, func(t *testing.T) {
			p.tear("shakerd.yaml", []byte(text))
			before, _ := s.failedReloads()
			if s.reloadAny() {
				t.Error("it was loaded")
			}
			if failed, stale := s.failedReloads(); failed != before+1 || stale != 1 {
				t.Errorf("%v failures after %v, stale %v; want one more, and 1", failed, before, stale)
			}
			s.goesOn(stream)
		})
	}
	t.Run("no file", func(t *testing.T) {
		if err := os.Remove(filepath.Join(p.dir, "shakerd.yaml")); err != nil {
			t.Fatal(err)
		}
		if s.reloadAny() {
			t.Error("it was loaded")
		}
		s.goesOn(stream)
	})
	t.Run("good", func(t *testing.T) {
		other, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		for _, want := range []tcpshakerv1.Reason{
			tcpshakerv1.Reason_REASON_SYN_ACK, tcpshakerv1.Reason_REASON_POLICY_DENIED, tcpshakerv1.Reason_REASON_SYN_ACK,
		} {
			text := good
			if want == tcpshakerv1.Reason_REASON_POLICY_DENIED {
				text = strings.Replace(good, "deny: [", "deny: [\""+other.Addr().String()+"\", ", 1)
			}
			p.configure(text)
			s.reload(loaded)
			if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: []string{other.Addr().String()}}); err != nil {
				t.Fatal(err)
			}
			got, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if got.Results[0].Reason != want {
				t.Errorf("%v, want %v", got.Results[0].Reason, want)
			}
		}
	})
	cancel()
	group.Wait()
	t.Logf("%d honest checks, the slowest %v", seen.checks, seen.worst)
	if seen.err != nil {
		t.Errorf("the honest caller's check %d: %v", seen.checks, seen.err)
	}
	p.untouched()
}

// cuts are where a text is torn: at the end of each line and in the middle of it.
func cuts(text string) (ends []int) {
	at := 0
	for l := range strings.Lines(text) {
		ends = append(ends, at+len(l)/2, at+len(l))
		at += len(l)
	}
	return ends[:len(ends)-1] // not the whole
}
