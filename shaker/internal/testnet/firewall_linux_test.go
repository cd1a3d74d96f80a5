package testnet

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestFirewall: what each rule does to who knocks, from its own side, on the way and at the host, and that other ports and the time
// after the rule are as without it.
func TestFirewall(t *testing.T) {
	h := NewHost(t)
	const refused, silence = "connection refused", ""
	for name, e := range h.ends() {
		kind := byte(3)
		if e.far.Is6() {
			kind = 1
		}
		from := func(code byte, who netip.Addr) string { return fmt.Sprintf("%d/%d from %s", kind, code, who) }
		var l, other *net.TCPListener
		h.Do(func() { l, other = listen(t, e.far), listen(t, e.far) })
		to := l.Addr().(*net.TCPAddr).AddrPort()
		for _, c := range []struct {
			hook Hook
			do   Judgment
			want string
		}{
			{Input, Drop, silence},
			{Input, RejectRST, refused},
			{Input, Reject(0), from(0, e.far)},
			{Input, Reject(1), from(1, e.far)},
			{Input, Reject(3), from(3, e.far)},
			{Output, Drop, silence},
		} {
			t.Run(fmt.Sprintf("%s/hook=%d/%d-%d", name, c.hook, c.do.kind, c.do.code), func(t *testing.T) {
				r := Rule{c.hook, to.Addr(), to.Port(), c.do}
				wait := beforeRetransmit
				if c.want == silence {
					wait = 50 * time.Millisecond
				}
				if c.hook == Output {
					Firewall(t, r)
				} else {
					h.Do(func() { Firewall(t, r) })
				}
				if got := answer(t, start(t, to), wait); got != c.want {
					t.Errorf("%q, want %q", got, c.want)
				}
				if err := knock(other.Addr().(*net.TCPAddr).AddrPort(), 1); err != nil {
					t.Errorf("another port: %v", err)
				}
			})
			if err := knock(to, 1); err != nil {
				t.Errorf("after the rule: %v", err)
			}
		}
		t.Run(name+"/forward", func(t *testing.T) {
			h.Do(func() { Firewall(t, Rule{Forward, e.beyond, 0, Reject(3)}) })
			h.Do(func() {
				if err := addRoute(unix.RTN_UNICAST, netip.PrefixFrom(e.beyond, e.beyond.BitLen()), attribute{unix.RTA_GATEWAY, e.near.AsSlice()}); err != nil { // back where it came from
					t.Fatal(err)
				}
			})
			if got := answer(t, start(t, netip.AddrPortFrom(e.beyond, 443)), beforeRetransmit); got != from(3, e.far) {
				t.Errorf("%q, want %q", got, from(3, e.far))
			}
		})
	}
}
