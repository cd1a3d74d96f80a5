package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// askEvery is how far one question is from the next. The service's health and one target are asked about in turn.
const askEvery = time.Millisecond

// question is one RPC that was made.
type question struct {
	at   time.Time
	took time.Duration
}

// askTask asks at its pace, whether answered or not, until its standard input tells the time that counts, as microseconds: who waits for
// an answer before the next question does not see how long a service stands still.
func askTask(t task) (figures, error) {
	conn, err := grpc.NewClient(t.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	health, service := grpc_health_v1.NewHealthClient(conn), tcpshakerv1.NewShakerServiceClient(conn)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()

	var asked [2][]question
	var failed error
	var mu sync.Mutex
	ask := func(number int) {
		began := time.Now()
		var err error
		if number%2 == 0 {
			_, err = health.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		} else {
			var answer *tcpshakerv1.CheckResponse
			answer, err = service.Check(ctx, &tcpshakerv1.CheckRequest{Targets: t.Targets[number/2%len(t.Targets):][:1]})
			if err == nil && answer.Results[0].Verdict != tcpshakerv1.Verdict_VERDICT_REACHABLE {
				err = fmt.Errorf("%v", answer.Results[0])
			}
		}
		took := time.Since(began)
		mu.Lock()
		defer mu.Unlock()
		asked[number%2] = append(asked[number%2], question{began, took})
		if err != nil {
			failed = err
		}
	}
	window := make(chan [2]int64)
	go func() {
		defer close(window)
		var began, ended int64
		if _, err := fmt.Fscan(bufio.NewReader(os.Stdin), &began, &ended); err == nil {
			window <- [2]int64{began, ended}
		}
	}()
	ask(0) // which connects
	fmt.Println("asking")
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	var under sync.WaitGroup
	for number := 1; ; number++ {
		select {
		case w, ok := <-window:
			under.Wait()
			if !ok || failed != nil {
				return nil, fmt.Errorf("nobody said which time counts, or an RPC failed: %w", failed)
			}
			f := figures{}
			f.latency("health", within(asked[0], w))
			f.latency("check", within(asked[1], w))
			return f, nil
		case <-tick.C:
			under.Go(func() { ask(number) })
		}
	}
}

func within(asked []question, window [2]int64) (took []time.Duration) {
	for _, q := range asked {
		if at := q.at.UnixMicro(); at >= window[0] && at <= window[1] {
			took = append(took, q.took)
		}
	}
	return took
}

// beside runs f while another process asks, and returns what that one measured in the time that f names.
func beside(tb testing.TB, d daemon, targets []string, f func() figures) figures {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	cmd := child(ctx, task{Role: "ask", Address: d.tcp, Targets: targets}, 2)
	cmd.Stderr = os.Stderr
	window, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	answers := bufio.NewReader(out)
	if _, err := answers.ReadString('\n'); err != nil {
		tb.Fatalf("%s: %v", name(cmd), err)
	}
	all := f()
	fmt.Fprintf(window, "%.0f %.0f\n", all["began"], all["ended"])
	window.Close()
	rest, err := io.ReadAll(answers)
	if err := cmd.Wait(); err != nil {
		tb.Fatalf("%s: %v", name(cmd), err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	latencies, err := parseFigures(strings.TrimSpace(string(rest)))
	if err != nil {
		tb.Fatal(err)
	}
	for key, value := range latencies {
		all[key] = value
	}
	return all
}

// besideContest is the latency of single questions while one stream has the service to itself, or nearly.
func besideContest(tb testing.TB, s size) *contest {
	const shards = 2
	targets, noticedNow := serviceTargets(tb)
	d := startDaemon(tb, shards, 1024)
	stream := func(tb testing.TB, n int, rate float64) figures {
		return perform(tb, task{Role: "stream", Address: d.tcp, PID: d.pid, Targets: targets, Count: n, Rate: rate}, 2)
	}
	saturated := stream(tb, s.targets, 0)["targets_per_s"]
	c := &contest{
		title: fmt.Sprintf("Check of one target and grpc.health.v1 Check, one or the other each %s from another connection, "+
			"beside a StreamCheck of %d targets", askEvery, s.beside),
		columns: []column{
			{"Check p50 ms", "check_p50", 2, false},
			{"p99", "check_p99", 2, false},
			{"max", "check_max", 2, false},
			{"health p50 ms", "health_p50", 2, false},
			{"p99", "health_p99", 2, false},
			{"max", "health_max", 2, false},
			{"targets/s of the stream", "targets_per_s", 0, true},
			{"noticed", "noticed", 0, true},
			{"not proven", "unsure", 0, true},
			{"GOMAXPROCS", "gomaxprocs", 0, false},
		},
		bounds: []bound{
			{name: "Check p99 ms at 70 %", unit: "p99-ms/70%", key: "check_p99", line: "at 70 %", promise: atMost(20, 5)},
			{name: "Check p99 ms, saturated", unit: "p99-ms/saturated", key: "check_p99", line: "saturated", promise: atMost(50, 15)},
			{name: "health p99 ms, saturated", unit: "health-p99-ms/saturated", key: "health_p99", line: "saturated", promise: atMost(50, 50)},
		},
	}
	for _, l := range []line{
		{name: "no stream", run: func(testing.TB) figures {
			began := time.Now().UnixMicro()
			time.Sleep(s.quiet)
			return figures{"began": float64(began), "ended": float64(time.Now().UnixMicro())}
		}},
		// 70 % of what the last one that was saturated came to.
		{name: "at 70 %", run: func(tb testing.TB) figures { return stream(tb, s.beside, 0.7*saturated) }},
		{name: "saturated", run: func(tb testing.TB) figures {
			f := stream(tb, s.beside, 0)
			saturated = f["targets_per_s"]
			return f
		}},
	} {
		c.lines = append(c.lines, line{name: l.name, run: func(tb testing.TB) figures {
			f := beside(tb, d, targets, func() figures { return l.run(tb) })
			f["gomaxprocs"], f["noticed"] = processors(shards+1), noticedNow()
			return f
		}})
	}
	return c
}
