package quota

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

const minute = time.Minute

// slack is how much longer than its window a port may count.
const slack = 2048 * time.Nanosecond

func fiftyPorts() *DestinationLimits { return &DestinationLimits{Ports: 50, Window: minute} }

// portsOf asks for ports first to last of one address, one by one.
func portsOf(d *Destinations, l *DestinationLimits, now time.Duration, caller, ip string, first, last int) (let, refused int) {
	for port := first; port <= last; port++ {
		addr := [1]netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr(ip), uint16(port))}
		if _, ok := d.Take(l, at(now), caller, addr[:], 1); ok {
			let++
		} else {
			refused++
		}
	}
	return let, refused
}

func expectPorts(t *testing.T, d *Destinations, l *DestinationLimits, now time.Duration, first, last, let int) {
	t.Helper()
	if got, _ := portsOf(d, l, now, "edge", "192.0.2.1", first, last); got != let {
		t.Errorf("ports %d to %d after %v: %d let in, want %d", first, last, now, got, let)
	}
}

func TestFiftyFirstPortRefused(t *testing.T) {
	d, l := NewDestinations(), fiftyPorts()
	expectPorts(t, d, l, 0, 1, 50, 50)
	expectPorts(t, d, l, 0, 51, 65535, 0)
	expectPorts(t, d, l, 0, 1, 50, 50) // the same again
	expectPorts(t, d, l, minute/2, 51, 60, 0)
	expectPorts(t, d, l, minute-1, 51, 60, 0)
	expectPorts(t, d, l, minute+slack, 51, 120, 50) // all of them have aged
	expectPorts(t, d, l, minute+slack, 1, 50, 0)
}

// TestPortsOfOthers: another caller, another address. (An address that collides with the first would be refused; so may one of
// 65,536 seeds.)
func TestPortsOfOthers(t *testing.T) {
	l := fiftyPorts()
	d := apart(t, l, targets("192.0.2.1:1", "192.0.2.2:1", "[2001:db8::1]:1"), "edge", "core", "")
	for _, caller := range []string{"edge", "core", ""} {
		for _, ip := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::1"} {
			if let, refused := portsOf(d, l, 0, caller, ip, 1, 60); let != 50 || refused != 10 {
				t.Errorf("%q, %s: %d let in, %d refused", caller, ip, let, refused)
			}
		}
	}
	for _, same := range []string{"::ffff:192.0.2.1", "2001:db8::1%eth0"} {
		if let, _ := portsOf(d, l, 0, "edge", same, 51, 60); let != 0 {
			t.Errorf("%s: %d more ports of a known address", same, let)
		}
	}
}

// TestPortsSlide: there is no boundary at which a double quota fits. At no time have more than 50 ports been touched in the minute
// before, whatever the times of the touches are.
func TestPortsSlide(t *testing.T) {
	d, l := NewDestinations(), fiftyPorts()
	expectPorts(t, d, l, minute-ms, 1, 50, 50) // just before a boundary of minutes
	expectPorts(t, d, l, minute+ms, 51, 100, 0)
	expectPorts(t, d, l, 2*minute-2*ms, 51, 100, 0)

	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	d = NewDestinations()
	last := make(map[int]time.Duration)
	let, refused := 0, 0
	for now := time.Duration(0); now < 30*minute; now += time.Duration(r.ExpFloat64() * float64(700*ms)) {
		port := 1 + r.IntN(80)
		live, perhaps := 0, 0 // a port may count a little longer
		for other, touched := range last {
			switch age := now - touched; {
			case other == port || age >= minute+slack:
			case age < minute:
				live++
			default:
				perhaps++
			}
		}
		if n, _ := portsOf(d, l, now, "edge", "192.0.2.1", port, port); n == 1 {
			let++
			last[port] = now
			if live >= 50 {
				t.Fatalf("after %v: port %d is the %dst in a minute", now, port, live+1)
			}
		} else {
			refused++
			if live+perhaps < 50 {
				t.Fatalf("after %v: port %d refused, with %d others", now, port, live+perhaps)
			}
		}
	}
	if let < 500 || refused < 50 {
		t.Errorf("%d let in, %d refused: nothing is proved", let, refused)
	}
}

// TestTouchIsRenewed: a port counts after its last touch, not its first.
func TestTouchIsRenewed(t *testing.T) {
	d, l := NewDestinations(), &DestinationLimits{Ports: 1, Window: minute}
	for i := range 10 {
		expectPorts(t, d, l, time.Duration(i)*50*time.Second, 1, 1, 1)
		expectPorts(t, d, l, time.Duration(i)*50*time.Second+minute/2, 2, 2, 0)
	}
	expectPorts(t, d, l, 420*time.Second, 1, 1, 1) // one whose clock was read earlier takes nothing from it
	expectPorts(t, d, l, 450*time.Second+minute-1, 2, 2, 0)
	expectPorts(t, d, l, 450*time.Second+minute+slack, 2, 2, 1)
}

// TestRefusedTakeTouchesNothing: neither a new port nor a known one anew.
func TestRefusedTakeTouchesNothing(t *testing.T) {
	l := &DestinationLimits{Ports: 2, Window: minute}
	d := apart(t, l, targets("192.0.2.1:1", "192.0.2.2:1"), "edge")
	take := func(now time.Duration, want bool, addrs ...string) {
		t.Helper()
		excess, ok := d.Take(l, at(now), "edge", targets(addrs...), 1)
		if ok != want {
			t.Errorf("%v after %v: %+v, %t", addrs, now, excess, ok)
		}
	}
	take(0, true, "192.0.2.2:1", "192.0.2.2:2")
	take(0, true, "192.0.2.1:1")
	take(minute/2, false, "192.0.2.1:1", "192.0.2.1:8", "192.0.2.2:3")
	take(minute/2, false, "192.0.2.1:8", "192.0.2.1:9")
	take(minute/2, false, "192.0.2.1:8", "192.0.2.1:9", "192.0.2.1:7")
	take(minute/2, true, "192.0.2.1:2")                                   // no 8, no 9
	take(minute+slack, true, "192.0.2.1:3", "192.0.2.2:8", "192.0.2.2:9") // 1 was not touched anew

	// By the rates: of the ports nothing is held at all.
	l = &DestinationLimits{PerAddress: Rate{1, 5}, Ports: 2, Window: minute}
	take(2*minute, false, "192.0.2.2:4", "192.0.2.2:5", "192.0.2.2:4", "192.0.2.2:5", "192.0.2.2:4", "192.0.2.2:5")
	take(2*minute+2*slack, true, "192.0.2.2:6", "192.0.2.2:7")
}

// TestPortsReload: another number, and another window, hold from the next Take on.
func TestPortsReload(t *testing.T) {
	d := NewDestinations()
	expectPorts(t, d, &DestinationLimits{Ports: 5, Window: minute}, 0, 1, 20, 5)
	expectPorts(t, d, &DestinationLimits{Ports: 8, Window: minute}, 0, 1, 20, 8)
	expectPorts(t, d, &DestinationLimits{Ports: MaxPorts, Window: minute}, 0, 1, 500, MaxPorts)
	expectPorts(t, d, &DestinationLimits{Ports: 5000, Window: minute}, 0, 1, 500, MaxPorts)
	three := &DestinationLimits{Ports: 3, Window: minute}
	expectPorts(t, d, three, time.Second, 1, 500, 0) // too many already, until they have aged
	expectPorts(t, d, three, 2*minute, 1, 500, 3)
	expectPorts(t, d, &DestinationLimits{}, 2*minute, 1, 500, 500)
	expectPorts(t, d, three, 2*minute, 1, 500, 3)
	expectPorts(t, d, three, 2*minute+time.Second, 1, 3, 3)
	expectPorts(t, d, &DestinationLimits{Ports: 3, Window: time.Second}, 2*minute+4*time.Second, 101, 200, 3)

	// How long a lowered number takes: until enough of the others have aged.
	d = NewDestinations()
	for i := range 10 {
		expectPorts(t, d, &DestinationLimits{Ports: 10, Window: minute}, time.Duration(i)*time.Second, i, i, 1)
	}
	refused := func(now, want time.Duration, ports ...uint16) {
		t.Helper()
		var addrs []netip.AddrPort
		for _, port := range ports {
			addrs = append(addrs, netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port))
		}
		excess, ok := d.Take(three, at(now), "edge", addrs, 1)
		if ok || excess.Limit != PortsPerAddress || excess.Wait < want || excess.Wait > want+slack {
			t.Errorf("%v after %v: %+v, %t; want a wait of %v", ports, now, excess, ok, want)
		}
	}
	refused(10*time.Second, minute+7*time.Second-10*time.Second, 99) // 0 to 7 have to go
	refused(10*time.Second, minute+6*time.Second-10*time.Second, 9)  // 0 to 6
	refused(10*time.Second, minute+7*time.Second-10*time.Second, 2)  // 0 to 7, itself among them
	refused(time.Hour, 0, 96, 97, 98, 99)                            // never
}

// TestCollidingPortsAreOne: whose cell is shared, the union counts.
func TestCollidingPortsAreOne(t *testing.T) {
	d, l := newDestinations(0, 0), fiftyPorts()
	for i := range 50 {
		if let, _ := portsOf(d, l, 0, fmt.Sprint("caller", i), fmt.Sprintf("192.0.2.%d", i), i, i); let != 1 {
			t.Fatalf("port %d of 50 refused", i)
		}
	}
	if let, _ := portsOf(d, l, 0, "edge", "198.51.100.1", 0, 100); let != 50 {
		t.Errorf("%d ports, want the 50 that are known", let)
	}

	// A lowered number: a port that another one has touched is no way around it (found by FuzzDestinations).
	d, l = newDestinations(0, 0), &DestinationLimits{Ports: 3, Window: minute}
	expectPorts(t, d, l, 0, 1, 2, 2)
	portsOf(d, l, 0, "edge", "198.51.100.1", 3, 3)
	expectPorts(t, d, &DestinationLimits{Ports: 1, Window: minute}, 0, 3, 3, 0)
}

// TestTouchTurnsOver: the ticks turn over every nine years; a window across it is like any other.
func TestTouchTurnsOver(t *testing.T) {
	w := newWindow(minute)
	for _, turn := range []int64{0, 1 << 57, 1 << 58, 3 << 57, atEpoch} {
		for _, d := range []int64{-3e9, -1, 0, 1, 1023, 1024, 3e9} {
			first := newTouch(turn+d, 443)
			if first.port() != 443 {
				t.Errorf("port %d", first.port())
			}
			for after, want := range map[time.Duration]bool{
				0: true, -minute: true, 1: true, minute - 1: true, minute + slack: false, time.Hour: false, MaxWindow: false,
			} {
				now := turn + d + int64(after)
				if got := w.counts(first, newTouch(now, 1)); got != want {
					t.Errorf("touched at %d, %v later: %t", turn+d, after, got)
				}
				if got := w.remaining(first, now) > 0; got != want {
					t.Errorf("touched at %d, %v later: remains %d", turn+d, after, w.remaining(first, now))
				}
			}
		}
	}
}
