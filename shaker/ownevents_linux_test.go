package shaker

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
	"golang.org/x/sys/unix"
)

// ownEvent is something that happens to this host's own network, and what probes say that it
// happens to.
type ownEvent struct {
	name   string
	v6Only bool
	do     func(c *eventCell) error
	undo   func(c *eventCell) error // nil: it cannot be undone

	before want // it has happened when the probe begins
	silent want // it happens after the SYN, which is not sent again
	resend want // it happens after the SYN, which the kernel then wants to send again
	passed want // it is over before the kernel sends the SYN again; the target never answers
}

// want is a result as far as a cell of the table tells. Errno is checked where it is set.
type want struct {
	outcome Outcome
	cause   Cause
	event   Event
	errno   unix.Errno
	v6      *want // over IPv6, where that differs
}

// eventCell is one probe over a wire of its own.
type eventCell struct {
	event *ownEvent
	when  string // before, silent, resend, back, passed
	v6    bool
	wire  *testnet.Wire
	other func() error // undoes a firewall; nil: there is none

	mu      sync.Mutex
	first   netip.AddrPort // the source of the first SYN
	answers bool           // the target answers from now on,
	dark    bool           // but not over a wire that is cut
}

// script answers once the cell's target is healthy.
func (c *eventCell) script(p *testnet.Peer, s *testnet.Segment) {
	if s.Flags != testnet.SYN {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.first = s.From
	if c.answers && !c.dark {
		p.Send(s.SYNACK(true))
	}
}

func (c *eventCell) recover() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers = true
}

func (c *eventCell) source() netip.AddrPort {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.first
}

func (c *eventCell) target() netip.AddrPort { return netip.AddrPortFrom(c.wire.Target(c.v6), 443) }

func (c *eventCell) String() string {
	family := "ipv4"
	if c.v6 {
		family = "ipv6"
	}
	return fmt.Sprintf("%s/%s/%s", c.event.name, c.when, family)
}

// forbid returns the event of a firewall rule of ours.
func forbid(verdict testnet.Verdict) func(*eventCell) error {
	return func(c *eventCell) (err error) {
		c.other, err = testnet.Forbid(testnet.Rule{Hook: testnet.Output, To: c.wire.Target(c.v6), Verdict: verdict})
		return err
	}
}

// cut takes the carrier of the cell's wire away. The kernel may go on sending for a second
// (linkwatch), and a cut wire carries nothing.
func (c *eventCell) cut() error {
	c.setDark(true)
	return c.wire.SetCarrier(false)
}

func (c *eventCell) join() error {
	c.setDark(false)
	return c.wire.SetCarrier(true)
}

func (c *eventCell) setDark(dark bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dark = dark
}

// allow takes the cell's firewall away, if there is one.
func (c *eventCell) allow() error {
	undo := c.other
	if c.other = nil; undo == nil {
		return nil
	}
	return undo()
}

// setSYNRetries sets how often the kernel sends a SYN again, for all wires.
func setSYNRetries(n string) func(*eventCell) error {
	return func(*eventCell) error { return os.WriteFile("/proc/sys/net/ipv4/tcp_syn_retries", []byte(n), 0) }
}

func replaceRoute(kind testnet.RouteKind) func(*eventCell) error {
	return func(c *eventCell) error { return c.wire.ReplaceRoute(c.v6, kind) }
}

var (
	open    = want{outcome: Open}
	timeout = want{outcome: TimedOut}

	deleteRoute   = func(c *eventCell) error { return c.wire.DeleteRoute(c.v6) }
	restoreRoute  = func(c *eventCell) error { _ = c.wire.DeleteRoute(c.v6); return c.wire.AddRoute(c.v6) }
	deleteAddress = func(c *eventCell) error { return c.wire.DeleteAddress(c.wire.Own(c.v6)) }
	mend          = func(c *eventCell) error { return c.wire.Mend(c.v6) }
	undoFirewall  = func(c *eventCell) error { return c.allow() }
)

// local is a LocalError of a cause and an event.
func local(cause Cause, event Event, errno unix.Errno) want {
	return want{outcome: LocalError, cause: cause, event: event, errno: errno}
}

// over6 is w, and something else over IPv6.
func (w want) over6(other want) want {
	w.v6 = &other
	return w
}

// routeEvent is one of a route: the kernel says at connect(2) what it says later.
func routeEvent(name string, cause Cause, errno unix.Errno, do func(*eventCell) error) ownEvent {
	lost := local(cause, RouteLost, errno)
	return ownEvent{name: name, do: do, undo: restoreRoute, before: local(cause, NoEvent, errno), silent: lost, resend: local(cause, RouteLost, 0), passed: local(NoRoute, RouteLost, 0)}
}

// lostEvent is one that takes an address or a link.
func lostEvent(name string, event Event, do, undo func(*eventCell) error) ownEvent {
	lost := local(NoRoute, event, 0)
	return ownEvent{name: name, do: do, undo: undo, before: local(NoRoute, NoEvent, 0), silent: lost, resend: lost, passed: lost}
}

func ownEvents() []ownEvent {
	replaceAddress := lostEvent("address replaced", AddressLost, func(c *eventCell) error {
		other := c.wire.Other4
		if c.v6 {
			other = c.wire.Other6
		}
		if err := c.wire.DeleteAddress(c.wire.Own(c.v6)); err != nil {
			return err
		}
		if err := c.wire.AddAddress(other); err != nil {
			return err
		}
		own := *c.wire
		own.Own4, own.Own6 = c.wire.Other4, c.wire.Other6
		return own.AddRoute(c.v6)
	}, mend)
	replaceAddress.before = open // from the new one

	deleted := lostEvent("address deleted", AddressLost, deleteAddress, mend)
	deleted.before = deleted.before.over6(open) // from an address of another interface

	dark := lostEvent("carrier lost", CarrierLost, (*eventCell).cut, (*eventCell).join)
	dark.before = local(NoRoute, CarrierLost, 0)

	noIPv6 := lostEvent("IPv6 disabled", AddressLost, func(c *eventCell) error { return c.wire.DisableIPv6(true) },
		func(c *eventCell) error {
			if err := c.wire.DisableIPv6(false); err != nil {
				return err
			}
			return c.wire.Mend(true)
		})
	noIPv6.v6Only = true

	return []ownEvent{
		{name: "nothing", do: func(*eventCell) error { return nil }, before: open, silent: timeout, resend: open, passed: timeout},
		routeEvent("route deleted", NoRoute, unix.ENETUNREACH, deleteRoute),
		routeEvent("route prohibit", LocalFiltered, unix.EACCES, replaceRoute(testnet.Prohibit)),
		routeEvent("route unreachable", NoRoute, unix.EHOSTUNREACH, replaceRoute(testnet.Unreachable)),
		routeEvent("route blackhole", NoRoute, unix.EINVAL, replaceRoute(testnet.Blackhole)),
		routeEvent("route throw", NoRoute, unix.ENETUNREACH, replaceRoute(testnet.Throw)),
		deleted,
		replaceAddress,
		lostEvent("link down", LinkDown, func(c *eventCell) error { return c.wire.SetUp(false) }, func(c *eventCell) error {
			if err := c.wire.SetUp(true); err != nil {
				return err
			}
			return c.wire.Mend(c.v6)
		}),
		dark,
		lostEvent("interface deleted", LinkDown, func(c *eventCell) error { return c.wire.DeleteDevice() }, nil),
		noIPv6,
		{ // which nobody can tell from a target that drops
			name: "own firewall drops", do: forbid(testnet.Drop), undo: undoFirewall,
			before: timeout, silent: timeout, resend: timeout, passed: timeout,
		},
		{
			name: "own firewall rejects", do: forbid(testnet.Reject(13)), undo: undoFirewall,
			before: local(LocalFiltered, NoEvent, 0), silent: timeout, resend: local(LocalFiltered, NoEvent, 0), passed: timeout,
		},
		{
			name: "tcp_syn_retries 1", do: setSYNRetries("1"), undo: setSYNRetries("6"),
			before: open, silent: timeout, resend: open, passed: timeout,
		},
		{
			name: "socket destroyed", do: func(c *eventCell) error { return testnet.DestroySocket(c.source(), c.target()) },
			silent: local(LocalResources, Aborted, unix.ECONNABORTED), resend: local(LocalResources, Aborted, unix.ECONNABORTED),
		},
	}
}

// TestOwnEvents: what happens to our own address, link, route or firewall while a SYN is unanswered
// is never held against the target, where any kernel can tell. Each event meets a probe of its own
// at four times, and a target that recovers meanwhile is open.
func TestOwnEvents(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			testnet.Private(t)
			testnet.Sysctl(t, "net/ipv4/icmp_ratemask", "0")
			testnet.Sysctl(t, "net/ipv4/tcp_syn_retries", "6") // what the cells leave behind ends with the test
			e := newEngine(t, Config{Mode: mode, Shards: 2})
			warm(t, e)
			events := ownEvents()
			var cells []*eventCell
			for _, v6 := range []bool{false, true} {
				for i := range events {
					for _, when := range []string{"back", "passed", "silent", "resend", "before"} {
						c := &eventCell{event: &events[i], when: when, v6: v6}
						if _, wanted := c.want(); wanted && (v6 || !events[i].v6Only) {
							cells = append(cells, c)
						}
					}
				}
			}
			wires := 0
			for group := (len(cells) + 1) / 2; len(cells) > 0; group = (group + 1) / 2 {
				var late []*eventCell
				for some := range slices.Chunk(cells, group) {
					for _, c := range some {
						c.wire = testnet.NewWire(t, wires, c.script)
						t.Cleanup(func() { _ = c.allow() })
						wires++
					}
					late = append(late, runEvents(t, e, some)...)
				}
				if cells = late; group == 1 && len(late) > 0 {
					t.Fatalf("%s: the event came too late, and alone", late[0])
				}
			}
			for event := AddressLost; event <= CarrierLost; event++ {
				if e.Stats().Events[event] == 0 {
					t.Errorf("%s was not counted", event)
				}
			}
		})
	}
}

// want returns what a cell's result must be, and whether there is such a cell.
func (c *eventCell) want() (w want, wanted bool) {
	possible := c.event.undo != nil
	switch c.when {
	case "before":
		w, wanted = c.event.before, c.event.before.outcome != Unspecified
	case "silent":
		w, wanted = c.event.silent, true
	case "resend":
		w, wanted = c.event.resend, true
	case "back":
		w, wanted = open, possible
	default:
		w, wanted = c.event.passed, possible
	}
	if c.v6 && w.v6 != nil {
		w = *w.v6
	}
	return w, wanted
}

// warm has the engine's sockets used once, so that those of mode Reuse are used again.
func warm(t *testing.T, e *Engine) {
	t.Helper()
	for _, f := range families {
		l := listen(t, f.loopback(0))
		b, err := e.Submit(patient(t), probesOf(512, func(int) Probe { return Probe{Addr: l.Addr, Timeout: patience} }))
		if err != nil {
			t.Fatal(err)
		}
		collect(t, b, 512)
	}
}

// The timeouts of cells: before the SYN is sent again after 1 s, and long after it.
const (
	noResend = 900 * time.Millisecond
	resends  = 2500 * time.Millisecond
)

// eventTime is how long after the first SYN of a group an event may begin.
const eventTime = 800 * time.Millisecond

// runEvents makes all events meet their probes, and returns new cells for those whose event came only
// after the time of the event: a busy machine is not what they are about.
func runEvents(t *testing.T, e *Engine, cells []*eventCell) (late []*eventCell) {
	t.Helper()
	probes := make([]Probe, len(cells))
	for i, c := range cells {
		probes[i] = Probe{ID: uint64(i), Addr: c.target(), Timeout: resends}
		switch c.when {
		case "before":
			if err := c.event.do(c); err != nil {
				t.Errorf("%s: %v", c, err)
			}
			c.recover()
			if w, _ := c.want(); w.outcome == TimedOut || w.event != NoEvent {
				probes[i].Timeout = noResend
			}
		case "silent":
			probes[i].Timeout = noResend
		}
	}
	sent := time.Now() // at the earliest
	b, err := e.Submit(patient(t), probes)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cells {
		if c.when != "before" {
			eventually(t, "a SYN of "+c.String(), func() bool { return c.source().IsValid() })
		}
	}
	tooLate := make([]bool, len(cells))
	for i, c := range cells {
		if c.when == "before" {
			continue
		}
		tooLate[i] = time.Since(sent) > eventTime
		if tooLate[i] {
			continue
		}
		err := c.event.do(c)
		switch c.when {
		case "resend":
			c.recover()
		case "back":
			err = errors.Join(err, c.event.undo(c))
			c.recover()
		case "passed":
			err = errors.Join(err, c.event.undo(c))
		}
		if tooLate[i] = time.Since(sent) > noResend; err != nil && !tooLate[i] {
			t.Errorf("%s: %v", c, err)
		}
	}
	for i, r := range collect(t, b, len(cells)) {
		c := cells[i]
		if tooLate[i] {
			late = append(late, &eventCell{event: c.event, when: c.when, v6: c.v6})
			continue
		}
		w, _ := c.want()
		if r.Outcome != w.outcome || r.Cause != w.cause || r.Event != w.event || w.errno != 0 && r.Errno != w.errno {
			t.Errorf("%s: %s, after %s and %d SYNs more, want %s, %s, %s, %v", c, r.String(), r.Elapsed, r.Retransmits, w.outcome, w.cause, w.event, w.errno)
		}
	}
	return late
}

// row renders an event as the table in docs/own-events.md has it.
func (e *ownEvent) row() string {
	cell := func(w want) string {
		text := w.words()
		if w.v6 != nil {
			text += "; IPv6: " + w.v6.words()
		}
		return text
	}
	back := open
	if e.undo == nil {
		back, e.passed = want{}, want{}
	}
	if e.name == "nothing" {
		back = e.resend
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s |", e.name, cell(e.before), cell(e.silent), cell(e.resend), cell(back), cell(e.passed))
}

func (w want) words() string {
	switch {
	case w.outcome == Unspecified:
		return "–"
	case w.outcome == Open:
		return "REACHABLE"
	case w.outcome == TimedOut:
		return "TIMED_OUT"
	}
	reason := map[Cause]string{NoRoute: "NO_ROUTE", LocalFiltered: "LOCAL_FILTERED", LocalResources: "LOCAL_RESOURCES"}[w.cause]
	if w.event != NoEvent {
		reason += ", " + w.event.String()
	}
	return reason
}

// TestOwnEventsAreDocumented: the table of docs/own-events.md is the one that TestOwnEvents walks.
func TestOwnEventsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/own-events.md")
	if err != nil {
		t.Fatal(err)
	}
	events := ownEvents()
	for i := range events {
		if row := events[i].row(); !strings.Contains(string(text), "\n"+row+"\n") {
			t.Errorf("docs/own-events.md lacks the row\n%s", row)
		}
	}
}
