package shaker

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
)

// far is another machine as one family sees it.
type far struct {
	near, host, beyond, nobody netip.Addr
	unreachable                byte // ICMP or ICMPv6 type of "destination unreachable"
}

func (f family) of(h *testnet.Host) far {
	if f.v6 {
		return far{h.Near6, h.Far6, netip.MustParseAddr("2001:db8:71::7"), netip.MustParseAddr("2001:db8:51::77"), 1}
	}
	return far{h.Near4, h.Far4, netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("198.51.100.77"), 3}
}

// listenAt opens a listener on the other machine.
func listenAt(t *testing.T, h *testnet.Host, ip netip.Addr) (l *listener) {
	t.Helper()
	h.Do(func() { l = listen(t, ip) })
	return l
}

// TestAnotherMachine: what real kernels answer, the target's, a router's and our own, is told apart, each with its sender; and
// the next probes of the shard, to a black hole and to an open port, are right.
func TestAnotherMachine(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		h := testnet.NewHost(t)
		h.ImpatientNeighbours()
		x := f.of(h)
		open, mute := listenAt(t, h, x.host), portOf(x.host, 9)
		h.Do(func() {
			testnet.Firewall(t, testnet.Rule{Hook: testnet.Input, To: x.host, Port: 9, Verdict: testnet.Drop})
		})
		e := newEngine(t, Config{Mode: mode, Shards: 1})

		type test struct {
			what  string
			there func(to netip.AddrPort) // is done on the other machine
			here  func(to netip.AddrPort) // is done on ours
			to    netip.AddrPort          // open's, if not set
			want  Result                  // what is set of Outcome, Cause and ICMP
			full  bool                    // takes the whole timeout
		}
		reject := func(hook testnet.Hook, do testnet.Verdict) func(netip.AddrPort) {
			return func(to netip.AddrPort) {
				testnet.Firewall(t, testnet.Rule{Hook: hook, To: to.Addr(), Port: to.Port(), Verdict: do})
			}
		}
		route := func(kind testnet.RouteKind) func(netip.AddrPort) {
			return func(to netip.AddrPort) { testnet.Route(t, kind, netip.PrefixFrom(to.Addr(), to.Addr().BitLen())) }
		}
		port := 1000
		next := func() netip.AddrPort { port++; return portOf(x.host, port) }
		way := func() netip.AddrPort { x.beyond = x.beyond.Next(); return portOf(x.beyond, 443) }
		icmp := func(code byte, from netip.Addr) Result {
			i := ICMP{x.unreachable, code, from}
			return Result{Outcome: Unreachable, Cause: i.cause(), ICMP: i}
		}
		ours := func(code byte) Result {
			return Result{Outcome: LocalError, Cause: LocalFiltered, ICMP: ICMP{x.unreachable, code, x.near}}
		}
		tests := []test{
			{what: "an open port", to: open.Addr, want: Result{Outcome: Open}},
			{what: "a closed port", to: next(), want: Result{Outcome: Refused}},
			{what: "the target's firewall drops", there: reject(testnet.Input, testnet.Drop), to: next(), want: Result{Outcome: TimedOut}, full: true},
			{what: "the target's firewall resets", there: reject(testnet.Input, testnet.RejectRST), to: next(), want: Result{Outcome: Refused}},
			{what: "a router has no route", to: way(), want: icmp(0, x.host)},
			{what: "a router's route is prohibited", there: route(testnet.Prohibit), to: way(), want: icmp(map[bool]byte{false: 13, true: 1}[f.v6], x.host)},
			{what: "a router's route is a black hole", there: route(testnet.Blackhole), to: way(), want: Result{Outcome: TimedOut}, full: true},
			{what: "a neighbour does not answer", to: portOf(x.nobody, 443), want: icmp(map[bool]byte{false: 1, true: 3}[f.v6], x.near)},
			{what: "our firewall drops, which nobody can tell from the target's", here: reject(testnet.Output, testnet.Drop), to: next(), want: Result{Outcome: TimedOut}, full: true},
			{what: "our firewall resets, which nobody can tell either", here: reject(testnet.Output, testnet.RejectRST), to: next(), want: Result{Outcome: Refused}},
			{what: "our route is prohibited", here: route(testnet.Prohibit), to: way(), want: Result{Outcome: LocalError, Cause: LocalFiltered}},
			{what: "our route is unreachable", here: route(testnet.Unreachable), to: way(), want: Result{Outcome: LocalError, Cause: NoRoute}},
			{what: "our route is a black hole", here: route(testnet.Blackhole), to: way(), want: Result{Outcome: LocalError, Cause: NoRoute}},
		}
		codes := []byte{0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13}
		if f.v6 {
			codes = []byte{0, 1, 3, 4, 5, 6}
		}
		for _, code := range codes {
			tests = append(tests, test{
				what: fmt.Sprintf("the target's firewall says %d", code), there: reject(testnet.Input, testnet.Reject(code)),
				to: next(), want: icmp(code, x.host),
			}, test{
				// It comes while connect(2) is still inside the kernel.
				what: fmt.Sprintf("our firewall says %d", code), here: reject(testnet.Output, testnet.Reject(code)),
				to: next(), want: ours(code),
			})
			if neighbour := map[bool]byte{false: 1, true: 3}[f.v6]; code == neighbour { // so says a neighbour that does not answer
				tests[len(tests)-1].want = icmp(code, x.near)
			}
		}
		const timeout = 800 * time.Millisecond // before the SYN is sent again
		for _, c := range tests {
			if c.there != nil {
				h.Do(func() { c.there(c.to) })
			}
			if c.here != nil {
				c.here(c.to)
			}
			limit := timeout
			if c.full {
				limit = 20 * time.Millisecond
			}
			r, err := e.Check(patient(t), c.to, limit)
			if err != nil || r.Outcome != c.want.Outcome || r.Cause != c.want.Cause || r.ICMP != c.want.ICMP {
				t.Errorf("%s: %s, %v, want %s", c.what, r.String(), err, c.want.String())
			}
			if !c.full && r.Elapsed >= timeout {
				t.Errorf("%s: only after %s: %s", c.what, r.Elapsed, r.String())
			}
			if r.Outcome == Open && r.Silence != Proven && !stopped(e) {
				t.Errorf("%s: silence %s", c.what, r.Silence)
			}
			check(t, e, patient(t), mute, 5*time.Millisecond, TimedOut)
			check(t, e, patient(t), open.Addr, patience, Open)
		}
		var noticed int
		h.Do(func() { noticed = open.Noticed(t) })
		if noticed != 0 && !stopped(e) {
			t.Errorf("%d noticed", noticed)
		}
	})
}

// TestTheOtherMachineCountsNoConnection: the wire between, and what the target's own kernel counts: one embryonic reset a
// handshake and no connection, with SYN cookies not even that.
func TestTheOtherMachineCountsNoConnection(t *testing.T) {
	const probes = 1000
	for _, cookies := range []string{"1", "2"} { // when needed, always
		t.Run("syncookies="+cookies, func(t *testing.T) {
			everywhere(t, func(t *testing.T, mode Mode, f family) {
				h := testnet.NewHost(t)
				x := f.of(h)
				h.Do(func() { testnet.Sysctl(t, "net/ipv4/tcp_syncookies", cookies) })
				l := listenAt(t, h, x.host)
				tap := testnet.NewTap(t, "host0", nil)
				e := newEngine(t, Config{Mode: mode, Shards: 2, MaxInFlight: 100})
				before := h.Counters()
				batch, err := e.Submit(patient(t), probesOf(probes, func(int) Probe { return Probe{Addr: l.Addr, Timeout: patience} }))
				if err != nil {
					t.Fatal(err)
				}
				results := collect(t, batch, probes)
				for _, r := range results {
					if r.Outcome != Open || r.Silence != Proven && !stopped(e) {
						t.Fatalf("%s, silence %s", r.String(), r.Silence)
					}
				}
				if n := onTheWire(t, e, tap, results, "SYN SYN-ACK RST"); n != probes && !stopped(e) {
					t.Errorf("%d handshakes on the wire, want %d", n, probes)
				}
				embryos, resets := probes, 0
				if cookies == "2" {
					embryos = 0
				}
				after := h.Counters()
				for name, want := range map[string]int{
					"TcpPassiveOpens": 0, "TcpActiveOpens": 0, "TcpExtEmbryonicRsts": embryos, "TcpExtTW": 0, "TcpEstabResets": resets,
				} {
					if got := after[name] - before[name]; got != want && !stopped(e) {
						t.Errorf("%s +%d, want +%d", name, got, want)
					}
				}
			})
		})
	}
}
