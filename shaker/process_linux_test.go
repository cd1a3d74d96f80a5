package shaker

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
	"golang.org/x/sys/unix"
)

// role, in the environment of a test binary, makes it the prober of a test that is to do something to its process: to stop it, or
// to kill it. It holds what the prober needs to know.
const role = "TCPSHAKER_ROLE"

// process is a prober in a process of its own, in the same network.
type process struct {
	*exec.Cmd
	in  io.Closer
	out *bufio.Reader
}

// startProcess runs the named test again as the prober. It ends with the test at the latest.
func startProcess(t *testing.T, test string, arg any) *process {
	t.Helper()
	text, err := json.Marshal(arg)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(patient(t), "/proc/self/exe", "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), role+"="+string(text))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return &process{cmd, in, bufio.NewReader(out)}
}

// isProcess reports whether this is the prober, and reads what it is to know.
func isProcess(t *testing.T, arg any) bool {
	t.Helper()
	text, ok := os.LookupEnv(role)
	if ok {
		if err := json.Unmarshal([]byte(text), arg); err != nil {
			t.Fatal(err)
		}
	}
	return ok
}

// await reads the prober's output up to a line.
func (p *process) await(t *testing.T, line string) {
	t.Helper()
	for {
		got, err := p.out.ReadString('\n')
		if err != nil {
			t.Fatalf("before it said %q: %v", line, err)
		}
		if got == line+"\n" {
			return
		}
	}
}

func (p *process) signal(t *testing.T, signal unix.Signal) {
	t.Helper()
	if err := p.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// stop stops the process and returns when it has stopped.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.signal(t, unix.SIGSTOP)
	eventually(t, "the process has stopped", func() bool {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		return strings.HasPrefix(rest, "T")
	})
}

// rest reads what else it says, until it ends well.
func (p *process) rest(t *testing.T) string {
	t.Helper()
	text, err := io.ReadAll(p.out)
	if err == nil {
		err = p.Wait()
	}
	if err != nil {
		t.Fatalf("the prober: %v\n%s", err, text)
	}
	return string(text)
}

// stoppedTimeout is far longer than it takes to stop a process, and shorter than any stop.
const stoppedTimeout = 290 * time.Millisecond

// TestStoppedProcess: SIGSTOP, for 400 ms and for 3 s, while probes are in flight: what the target answered meanwhile is its answer
// when the process goes on, long after the timeout, and only what nobody answered has timed out. A silence that was broken
// meanwhile, because the kernel sent the held-back ACK, is not called proven.
func TestStoppedProcess(t *testing.T) {
	type probers struct {
		Mode Mode
		V6   bool
	}
	var me probers
	if isProcess(t, &me) {
		stoppedProber(t, me.Mode, families[pool(me.V6)])
		return
	}
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		stops := []time.Duration{400 * time.Millisecond}
		if long() || mode == Reuse && !f.v6 {
			stops = append(stops, 3*time.Second)
		}
		for _, d := range stops {
			t.Run(d.String(), func(t *testing.T) {
				var mu sync.Mutex
				var syns []*testnet.Segment
				answer := func(p *testnet.Peer, syn *testnet.Segment) {
					switch syn.To.Port() {
					case stoppedOpen:
						p.Send(syn.SYNACK(true))
					case stoppedClosed:
						p.Send(syn.RST())
					case stoppedProhibited:
						p.ICMP(syn, f.router(), f.prohibited().Type, f.prohibited().Code)
					}
				}
				peer := testnet.NewPeer(t, onlySYN(func(p *testnet.Peer, syn *testnet.Segment) {
					mu.Lock()
					defer mu.Unlock()
					if len(syns) == 4*stoppedProbes { // an RST may be doubted, and asked for again
						answer(p, syn)
						return
					}
					syns = append(syns, syn)
				}))
				prober := startProcess(t, "TestStoppedProcess", probers{mode, f.v6})
				eventually(t, "all SYNs have come", func() bool {
					mu.Lock()
					defer mu.Unlock()
					return len(syns) == 4*stoppedProbes
				})
				prober.stop(t)
				for _, syn := range syns {
					answer(peer, syn)
				}
				<-time.After(d)
				prober.signal(t, unix.SIGCONT)
				text := prober.rest(t)
				acks := 0
				for line := range strings.Lines(text) {
					var r told
					if json.Unmarshal([]byte(line), &r) != nil {
						continue // of the test binary
					}
					wire := peer.Flow(r.Source, r.Addr)
					if acked := slices.Contains(wire, "ACK"); acked {
						acks++
						if r.Silence == Proven {
							t.Errorf("%s: called proven, and the wire says %v", r.Addr, wire)
						}
					}
				}
				if acks != stoppedProbes {
					t.Errorf("%d of %d ACKs left while it was stopped: this proves nothing", acks, stoppedProbes)
				}
			})
		}
	})
}

// What answers at a port of the targets of TestStoppedProcess, and how many targets of each kind there are.
const (
	stoppedOpen, stoppedClosed, stoppedProhibited, stoppedMute = 1, 2, 3, 4
	stoppedProbes                                              = 50
)

// told is what a prober tells of a result.
type told struct {
	Addr, Source netip.AddrPort
	Silence      Silence
}

func stoppedProber(t *testing.T, mode Mode, f family) {
	e := newEngine(t, Config{Mode: mode, Shards: 2})
	batch, err := e.Submit(patient(t), probesOf(4*stoppedProbes, func(i int) Probe {
		return Probe{Addr: netip.AddrPortFrom(f.target(1+i/4).Addr(), uint16(1+i%4)), Timeout: stoppedTimeout}
	}))
	if err != nil {
		t.Fatal(err)
	}
	out := json.NewEncoder(os.Stdout)
	for _, r := range collect(t, batch, 4*stoppedProbes) {
		want := map[uint16]Outcome{stoppedOpen: Open, stoppedClosed: Refused, stoppedProhibited: Unreachable, stoppedMute: TimedOut}[r.Addr.Port()]
		if r.Outcome != want || want == TimedOut && r.Elapsed < stoppedTimeout {
			t.Errorf("%s after %s, want %s", r.String(), r.Elapsed, want)
		}
		if err := out.Encode(told{r.Addr, r.Source, r.Silence}); err != nil {
			t.Error(err)
		}
	}
}

// TestStoppedAtFullLoad: a process that is stopped again and again, 300 ms each, while it is at full load: an open port is open,
// a closed one refused, a silent one silent, whatever the timeout, and whoever was noticed is not called proven.
func TestStoppedAtFullLoad(t *testing.T) {
	testnet.Private(t)
	const stops, length = 4, 300 * time.Millisecond
	var mode Mode
	if isProcess(t, &mode) {
		loadedProber(t, mode)
		return
	}
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			prober := startProcess(t, "TestStoppedAtFullLoad", mode)
			for range stops {
				prober.await(t, "running")
				prober.stop(t)
				<-time.After(length)
				prober.signal(t, unix.SIGCONT)
			}
			for line := range strings.Lines(prober.rest(t)) {
				if said, ok := strings.CutPrefix(line, "told "); ok {
					t.Log(strings.TrimSpace(said))
				}
			}
		})
	}
}

func loadedProber(t *testing.T, mode Mode) {
	const rounds, each, timeout = 12, 6000, 20 * time.Millisecond
	right := map[netip.AddrPort]Outcome{}
	var listeners []*listener
	var addrs []netip.AddrPort
	for _, f := range families {
		for k := range 4 {
			l := listen(t, f.loopback(k))
			listeners = append(listeners, l)
			right[l.Addr], right[bound(t, f.loopback(k)).Addr], right[silent(t, f.loopback(k))] = Open, Refused, TimedOut
		}
	}
	for a := range right {
		addrs = append(addrs, a)
	}
	e := newEngine(t, Config{Mode: mode, Shards: 2})
	for range rounds {
		batch, err := e.Submit(patient(t), probesOf(each, func(i int) Probe { return Probe{Addr: addrs[i%len(addrs)], Timeout: timeout} }))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("running")
		for _, r := range collect(t, batch, each) {
			if r.Outcome != right[r.Addr] {
				t.Errorf("%s after %s, want %s", r.String(), r.Elapsed, right[r.Addr])
			}
		}
	}
	noticed := 0
	for _, l := range listeners {
		noticed += l.Noticed(t)
	}
	s := e.Stats()
	if uint64(noticed) > s.SilenceBroken+s.SilenceUnproven {
		t.Errorf("%d noticed, %d not proven silent", noticed, s.SilenceBroken+s.SilenceUnproven)
	}
	fmt.Printf("told %d noticed, %d proven, %d unproven, %d broken, longest turn %s\n", noticed, s.SilenceProven, s.SilenceUnproven,
		s.SilenceBroken, s.LongestTurn)
	if s.LongestTurn < 250*time.Millisecond {
		t.Error("the process was never stopped: this proves nothing")
	}
}

// soonGone is far less than the 200 ms after which the kernel sends a held-back ACK, for whoever is late, also in dying.
const soonGone = 150 * time.Millisecond

// TestKilledAtFullLoad: kill -9, at any moment of an engine that knocks at a listener as fast as it can, and nobody is noticed; but
// of a process that this machine has let stand still, before or while it died, nothing is proved.
func TestKilledAtFullLoad(t *testing.T) {
	testnet.Private(t)
	const kills = 5
	type knockers struct {
		Mode Mode
		Addr netip.AddrPort
	}
	var me knockers
	if isProcess(t, &me) {
		e := newEngine(t, Config{Mode: me.Mode, Shards: 2})
		for range 1000 { // bounded, should nobody kill us
			batch, err := e.Submit(patient(t), probesOf(10_000, func(int) Probe { return Probe{Addr: me.Addr, Timeout: patience} }))
			if err != nil {
				t.Fatal(err)
			}
			for range batch.All() {
				if s := e.Stats(); s.Started > 1000 {
					fmt.Printf("%d\nrunning\n", s.LongestTurn)
				}
			}
		}
		return
	}
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		l := listen(t, f.loopback(0))
		for range kills {
			prober := startProcess(t, "TestKilledAtFullLoad", knockers{mode, l.Addr})
			prober.await(t, "running")
			<-time.After(rand.N(20 * time.Millisecond))
			killed := time.Now()
			prober.signal(t, unix.SIGKILL)
			said, _ := io.ReadAll(prober.out)
			_ = prober.Wait()
			still := time.Since(killed) // for how long nobody may have looked after a socket
			for line := range strings.Lines(string(said)) {
				if turn, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64); err == nil {
					still = max(still, time.Duration(turn))
				}
			}
			if n := l.Noticed(t); n > 0 && still < soonGone {
				t.Errorf("%d noticed; it stood still for %s at most", n, still)
			}
		}
	})
}

// TestKilledProberIsNotNoticed: kill -9 with thousands of handshakes answered and not left yet: the kernel closes their
// sockets, and each sends an RST, not a FIN, which would be an ACK and make the connection.
func TestKilledProberIsNotNoticed(t *testing.T) {
	testnet.Private(t)
	const sockets = 300 // few enough to be opened and closed within soonGone on a busy machine
	var addr netip.AddrPort
	if isProcess(t, &addr) {
		var scratch sockaddr
		for range sockets {
			fd, errno := openSocket(addr.Addr().Is6(), Reuse, 0)
			if errno != 0 {
				t.Fatal(errno)
			}
			if errno := connect(int32(fd), &scratch, scratch.set(addr, 0)); errno != eInProgress {
				t.Fatal(errno)
			}
		}
		os.Stdout.WriteString("ready\n")
		select {}
	}
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			l := listen(t, f.loopback(0))
			before, began := testnet.Counters(t), time.Now()
			prober := startProcess(t, "TestKilledProberIsNotNoticed", l.Addr)
			prober.await(t, "ready")
			prober.signal(t, unix.SIGKILL)
			_ = prober.Wait()
			took := time.Since(began) // until the last of its sockets was closed
			after := testnet.Counters(t)
			if n := l.Noticed(t); n != 0 && took < soonGone {
				t.Errorf("%d of %d handshakes were noticed", n, sockets)
			}
			if n := after["TcpActiveOpens"] - before["TcpActiveOpens"]; n < sockets {
				t.Errorf("%d handshakes began", n)
			}
			t.Logf("gone after %s", took)
		})
	}
}
