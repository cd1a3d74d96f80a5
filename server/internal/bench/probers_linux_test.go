package bench

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// dialTask is a prober that connects fully and closes with an RST: net.Dialer and SetLinger(0). Somebody has to accept from its
// listeners, or their queues overflow.
func dialTask(t task) (figures, error) {
	targets := make([]string, goals)
	for i := range targets {
		l, err := net.Listen("tcp4", net.JoinHostPort(loopback("ipv4", i).String(), "0"))
		if err != nil {
			return nil, err
		}
		go acceptAndClose(l)
		targets[i] = l.Addr().String()
	}
	var wrong atomic.Int64
	dialer := net.Dialer{Timeout: 10 * time.Second}
	run := func(n int) {
		var next atomic.Int64
		var callers sync.WaitGroup
		for range t.AtOnce {
			callers.Go(func() {
				for i := next.Add(1); i <= int64(n); i = next.Add(1) {
					c, err := dialer.Dial("tcp4", targets[i%goals])
					if err != nil {
						wrong.Add(1)
						continue
					}
					_ = c.(*net.TCPConn).SetLinger(0)
					c.Close()
				}
			})
		}
		callers.Wait()
	}
	run(min(2_000, t.Count))
	before := used()
	run(t.Count)
	f := since(before, t.Count)
	f["wrong"] = float64(wrong.Load())
	return f, nil
}

func acceptAndClose(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		c.Close()
	}
}

// proberContest is the engine beside other probers, at 1,000 handshakes at once.
func proberContest(tb testing.TB, s size) *contest {
	const atOnce = 1000
	engine := task{Mode: "reuse", Family: "ipv4", Shards: 1, Count: s.probes}
	c := &contest{
		title:   "The engine beside other probers, 1,000 handshakes at once, open ports, IPv4",
		columns: probeColumns,
		lines: []line{
			engineLine("engine 1", "net.Dialer", engine, atOnce),
			{name: "net.Dialer", run: func(tb testing.TB) figures {
				return perform(tb, task{Role: "dial", AtOnce: atOnce, Count: s.probes}, 2)
			}},
		},
		ratios: []ratio{{
			name: "CPU, engine, 1 shard / net.Dialer with SetLinger(0)", unit: "engine/net.Dialer", key: "cpu_us_per_probe",
			of: "engine 1", to: "net.Dialer", promise: atMost(0.40, 0.25),
		}},
	}
	engine.Shards = 2
	c.lines = append(c.lines, engineLine("engine 2", "net.Dialer", engine, atOnce/2))
	for _, one := range others(tb) {
		name, command := one[0], one[1]
		c.lines = append(c.lines, line{name: name, against: "net.Dialer", run: func(tb testing.TB) figures {
			return other(tb, command, s.probes, atOnce)
		}})
		c.ratios = append(c.ratios, ratio{
			name: "CPU, engine, 1 shard / " + name, unit: "engine/" + name, key: "cpu_us_per_probe",
			of: "engine 1", to: name, promise: atMost(0.50, 0.35),
		})
	}
	return c
}

// others reads BENCH_ALSO: names and commands.
func others(tb testing.TB) (all [][2]string) {
	tb.Helper()
	for one := range strings.SplitSeq(os.Getenv("BENCH_ALSO"), ";") {
		if strings.TrimSpace(one) == "" {
			continue
		}
		name, command, ok := strings.Cut(strings.TrimSpace(one), "=")
		if !ok || strings.ContainsAny(name, " \t") {
			tb.Fatalf("BENCH_ALSO: %q is no name=command", one)
		}
		all = append(all, [2]string{name, command})
	}
	return all
}

// other runs a program that is not ours. It may use the listeners of this process, from which nobody accepts, or its own.
func other(tb testing.TB, command string, probes, atOnce int) figures {
	ports, err := openPorts("ipv4", goals, 4096)
	if err != nil {
		tb.Fatal(err)
	}
	defer closePorts(ports)
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	cmd := bounded(exec.CommandContext(ctx, "/bin/sh", "-c", command), 2)
	cmd.Env = append(cmd.Env, "PROBES="+strconv.Itoa(probes), "AT_ONCE="+strconv.Itoa(atOnce),
		"TARGETS="+strings.Join(addresses(ports), " "))
	f := measure(tb, cmd)
	for _, key := range []string{"cpu_us_per_probe", "probes_per_s"} {
		if f[key] <= 0 {
			tb.Fatalf("%s: no %s: %s", command, key, f)
		}
	}
	return f
}

func addresses(ports []port) []string {
	texts := make([]string, len(ports))
	for i, p := range ports {
		texts[i] = fmt.Sprint(p.addr)
	}
	return texts
}
