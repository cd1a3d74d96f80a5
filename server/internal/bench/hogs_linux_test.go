package bench

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// hogTask keeps a processor busy until its standard input ends.
func hogTask(task) (figures, error) {
	ended := make(chan struct{})
	go func() {
		untilEOF()
		close(ended)
	}()
	turns := 0
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); turns++ {
		select {
		case <-ended:
			return figures{"turns": float64(turns)}, nil
		default:
		}
	}
	return nil, fmt.Errorf("nobody ended this hog")
}

// besideHogs runs f while n processes are busy. Each has a session of its own, as services have: those of one session are a group to the
// scheduler (autogroup, sched(7)), in which the hogs would share the processors with who is measured thread by thread.
func besideHogs(tb testing.TB, n int, f func() figures) figures {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	for range n {
		cmd := child(ctx, task{Role: "hog"}, 1)
		cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Setsid = false, true // a session is a group of processes as well
		in, err := cmd.StdinPipe()
		if err != nil {
			tb.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			tb.Fatal(err)
		}
		defer func() {
			in.Close()
			if err := cmd.Wait(); err != nil {
				tb.Errorf("%s: %v", name(cmd), err)
			}
		}()
	}
	return f()
}

// hogsContest is the engine on a machine that is busy with other things: it gets slower, but not noisy. As the kernel sends the
// ACK that is held back after some 200 ms, the longest turn of a loop is what matters.
func hogsContest(tb testing.TB, s size) *contest {
	const hogs, perShard = 8, 512
	c := &contest{
		title: fmt.Sprintf("The engine at full load beside %d busy processes", hogs),
		columns: []column{
			{"longest turn ms", "longest_turn_ms", 1, false},
			{"silences broken", "broken", 0, true},
			{"unproven", "unproven", 0, true},
			{"noticed", "noticed", 0, true},
			{"probes/s", "probes_per_s", 0, false},
			{"CPU µs a probe", "cpu_us_per_probe", 2, false},
			{"GOMAXPROCS", "gomaxprocs", 0, false},
		},
	}
	for _, mode := range []string{"reuse", "fresh"} {
		for _, shards := range []int{1, 2} {
			name := fmt.Sprintf("engine %s %d", mode, shards)
			alone := engineLine(name, "", task{Mode: mode, Family: "ipv4", Shards: shards, Count: s.probes / 2}, perShard)
			c.lines = append(c.lines, line{name: name, run: func(tb testing.TB) figures {
				return besideHogs(tb, hogs, func() figures { return alone.run(tb) })
			}})
			c.bounds = append(c.bounds,
				bound{
					name: name + ", silences broken, worst round", unit: fmt.Sprintf("broken/%s-%d", mode, shards),
					key: "broken", line: name, worst: true, promise: atMost(0, 0),
				},
				bound{
					name: name + ", longest turn ms, worst round", unit: fmt.Sprintf("longest-turn-ms/%s-%d", mode, shards),
					key: "longest_turn_ms", line: name, worst: true,
				})
		}
	}
	return c
}
