package testnet

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestFirewallVerdicts on the way of a SYN: from here, through a router, and to a host. The same address at another port is not
// concerned, and nothing is after the end of the test that made the firewall.
func TestFirewallVerdicts(t *testing.T) {
	h := NewHost(t)
	for family, e := range h.ends() {
		var l *net.TCPListener
		h.Do(func() {
			l = listen(t, e.far)
			// A router forwards what it has a route for; this one leads back.
			back := attribute{unix.RTA_GATEWAY, e.near.AsSlice()}
			if err := addRoute(unix.RTN_UNICAST, netip.PrefixFrom(e.beyond, e.beyond.BitLen()), back); err != nil {
				t.Fatal(err)
			}
		})
		open := l.Addr().(*net.TCPAddr).AddrPort()
		here := func(f func()) { f() }
		for _, c := range []struct {
			name   string
			hook   Hook
			on     func(func())
			to     netip.AddrPort
			sender netip.Addr
		}{
			{"output", Output, here, open, e.near},
			{"forward", Forward, h.Do, netip.AddrPortFrom(e.beyond, 443), e.far},
			{"input", Input, h.Do, open, e.far},
		} {
			verdicts := map[Verdict]string{Drop: "", RejectRST: unix.ECONNREFUSED.Error()}
			kind, codes := 3, []byte{0, 1, 3, 9, 10, 13}
			if c.to.Addr().Is6() {
				kind, codes = 1, []byte{0, 1, 3, 4, 5, 6}
			}
			for _, code := range codes {
				verdicts[Reject(code)] = fmt.Sprintf("%d/%d from %s", kind, code, c.sender)
			}
			for verdict, want := range verdicts {
				t.Run(fmt.Sprintf("%s/%s/%#x", family, c.name, verdict), func(t *testing.T) {
					c.on(func() { Firewall(t, Rule{c.hook, c.to.Addr(), c.to.Port(), verdict}) })
					wait := beforeRetransmit
					if want == "" {
						wait = 20 * time.Millisecond
					}
					if got := answer(t, start(t, c.to), wait); got != want {
						t.Errorf("%q, want %q", got, want)
					}
					if c.hook == Forward {
						return
					}
					other := netip.AddrPortFrom(c.to.Addr(), c.to.Port()-1)
					if got := answer(t, start(t, other), beforeRetransmit); got != unix.ECONNREFUSED.Error() {
						t.Errorf("port %d: %q", other.Port(), got)
					}
				})
			}
		}
		if err := knock(open, 1); err != nil {
			t.Errorf("without a firewall: %v", err)
		}
	}
}

// TestFirewallOfAHost concerns no other machine, and without a port it concerns all of them.
func TestFirewallOfAHost(t *testing.T) {
	h := NewHost(t)
	for family, e := range h.ends() {
		t.Run(family, func(t *testing.T) {
			rule := Rule{Hook: Output, To: e.far, Verdict: RejectRST}
			h.Do(func() { Firewall(t, rule) })
			var l *net.TCPListener
			h.Do(func() { l = listen(t, e.far) })
			open := l.Addr().(*net.TCPAddr).AddrPort()
			if err := knock(open, 1); err != nil {
				t.Errorf("another machine's firewall: %v", err)
			}
			Firewall(t, rule)
			for port := range 5 {
				to := netip.AddrPortFrom(e.far, open.Port()+uint16(port))
				if got := answer(t, start(t, to), beforeRetransmit); got != unix.ECONNREFUSED.Error() {
					t.Errorf("port %d: %q", to.Port(), got)
				}
			}
		})
	}
}

// TestFirewallOnTheWay: what is dropped or rejected on the way out never gets to the device, and an ICMP error finds the socket
// in the hands of connect(2): it stays in SYN-SENT (tcp_v4_err, net/ipv4/tcp_ipv4.c).
func TestFirewallOnTheWay(t *testing.T) {
	for _, ip := range loopbacks {
		for verdict, want := range map[Verdict][]string{Drop: nil, Reject(3): nil, RejectRST: {"RST"}} {
			t.Run(fmt.Sprintf("%s/%#x", ip, verdict), func(t *testing.T) {
				tap := NewTap(t, "lo", nil)
				to := listen(t, ip).Addr().(*net.TCPAddr).AddrPort()
				Firewall(t, Rule{Output, ip, to.Port(), verdict})
				fd := start(t, to)
				if got := answer(t, fd, 20*time.Millisecond); (got == "") != (verdict == Drop) {
					t.Errorf("answer %q", got)
				}
				info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
				const synSent, closed = 2, 7 // net/tcp_states.h
				state := uint8(synSent)
				if verdict == RejectRST {
					state = closed
				}
				if err != nil || info.State != state {
					t.Errorf("state %d, want %d; %v", info.State, state, err)
				}
				tap.Sync()
				var got []string
				for _, s := range tap.Log() {
					got = append(got, s.Kind())
				}
				if !slices.Equal(got, want) {
					t.Errorf("%v on the device, want %v", got, want)
				}
			})
		}
	}
}

// TestFirewallAnswersEachTime it is asked, on a host, which has no limits, and here, where the limit is lifted.
func TestFirewallAnswersEachTime(t *testing.T) {
	h := NewHost(t)
	Sysctl(t, "net/ipv4/icmp_ratemask", "0")
	for family, e := range h.ends() {
		for hook, on := range map[Hook]func(func()){Input: h.Do, Output: func(f func()) { f() }} {
			t.Run(fmt.Sprintf("%s/hook=%d", family, hook), func(t *testing.T) {
				on(func() { Firewall(t, Rule{Hook: hook, To: e.far, Verdict: Reject(1)}) })
				for i := range 300 {
					if got := answer(t, start(t, netip.AddrPortFrom(e.far, 443)), beforeRetransmit); got == "" {
						t.Fatalf("no answer to probe %d", i)
					}
				}
			})
		}
	}
}
