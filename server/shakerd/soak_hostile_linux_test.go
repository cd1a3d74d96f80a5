//go:build !race

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// asHostile in the environment makes the test binary the hostile callers, until its stdin ends: a process of its own, so that what
// it does to itself is not measured as the service's.
const asHostile = "SHAKERD_TEST_SOAK_HOSTILE"

// init comes before TestMain, which belongs to all tests of the package.
func init() {
	if os.Getenv(asHostile) != "" {
		os.Exit(runHostile())
	}
}

// tally counts what became of each attack: reasons of results, codes of statuses, and words of the attack's own.
type tally struct {
	Seen      map[string]map[string]int
	Processor time.Duration // that the hostile process has used

	mu       sync.Mutex
	underWay chan struct{} // closed once each of floods has had an answer
}

// floods are the attacks that a rate bounds.
var floods = []string{"ports", "address", "prefix", "prefix6", "rate"}

func (t *tally) add(attack, what string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.Seen[attack] == nil {
		t.Seen[attack] = make(map[string]int)
	}
	t.Seen[attack][what] += n
	if t.underWay != nil && !slices.ContainsFunc(floods, func(f string) bool { return t.Seen[f] == nil }) {
		close(t.underWay)
		t.underWay = nil
	}
}

func (t *tally) results(attack string, results []*tcpshakerv1.CheckResult) {
	for _, r := range results {
		t.add(attack, strings.TrimPrefix(r.GetReason().String(), "REASON_"), 1)
	}
}

// status counts an error, unless it came of the soak's end.
func (t *tally) status(ctx context.Context, attack string, err error) {
	if ctx.Err() == nil {
		t.add(attack, status.Code(err).String(), 1)
	}
}

// only fails the test if an attack brought anything but some of these words. In the long form it has to bring each of them; in a few
// seconds of a busy machine an attack may not come so far.
func (t *tally) only(tt *testing.T, attack string, words ...string) {
	tt.Helper()
	for _, w := range words {
		if t.Seen[attack][w] == 0 {
			text := fmt.Sprintf("%s: no %s among %v", attack, w, t.Seen[attack])
			if os.Getenv("TRUTH") == "long" {
				tt.Error(text)
			} else {
				tt.Log(text)
			}
		}
	}
	for what, n := range t.Seen[attack] {
		if !slices.Contains(words, what) {
			tt.Errorf("%s: %d times %s, want %q alone", attack, n, what, words)
		}
	}
}

// hostile is the process of the hostile callers, seen from the test.
type hostile struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stdout *bufio.Reader
}

// startHostile returns once the attacks are under way.
func startHostile(t *testing.T) *hostile {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), asHostile+"=1")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	h := &hostile{cmd, stdin, bufio.NewReader(stdout)}
	late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	if _, err := h.stdout.ReadString('\n'); err != nil {
		t.Fatalf("the hostile callers do not come to their attacks: %v", err)
	}
	return h
}

// end ends the attacks and returns what became of them.
func (h *hostile) end(t *testing.T) *tally {
	t.Helper()
	h.stdin.Close()
	got := new(tally)
	if err := json.NewDecoder(h.stdout).Decode(got); err != nil {
		t.Fatalf("the hostile callers: %v", err)
	}
	return got
}

// runHostile is the process: all attacks at once, until stdin ends.
func runHostile() int {
	// Hostile callers are on machines of their own: they must not take the processor from those who are measured.
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, 10)
	ctx, cancel := context.WithCancel(context.Background())
	underWay := make(chan struct{})
	t := &tally{Seen: make(map[string]map[string]int), underWay: underWay}
	go func() {
		<-underWay
		fmt.Println("under way")
	}()
	var wg sync.WaitGroup
	for _, attack := range attacks {
		wg.Go(func() {
			conn := hostileConn()
			defer conn.Close()
			attack(ctx, tcpshakerv1.NewShakerServiceClient(conn), t)
		})
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	cancel()
	wg.Wait()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err == nil {
		t.Processor = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	if err := json.NewEncoder(os.Stdout).Encode(t); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitFailure
	}
	return exitOK
}

func hostileConn() *grpc.ClientConn {
	conn, err := grpc.NewClient(soakService, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableServiceConfig())
	if err != nil {
		panic(err) // of the arguments, which are constants
	}
	return conn
}

// often calls do until ctx ends, so often.
func often(ctx context.Context, every time.Duration, do func(i int)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do(i)
		}
	}
}

// flood is an attack by a stream: a message of targets every so often, written as the service reads, and begun again when it ends.
func flood(ctx context.Context, client tcpshakerv1.ShakerServiceClient, t *tally, attack string, every time.Duration, targets func(i int) []string) {
	i := 0
	often(ctx, 100*time.Millisecond, func(int) {
		ctx, cancel := context.WithCancel(as(ctx, "evil"))
		defer cancel()
		stream, err := client.StreamCheck(ctx)
		if err != nil {
			t.status(ctx, attack, err)
			return
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			often(ctx, every, func(int) {
				if stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: targets(i)}) != nil {
					cancel()
				}
				i++
			})
		})
		for {
			got, err := stream.Recv()
			if err != nil {
				t.status(ctx, attack, err)
				cancel()
				wg.Wait()
				return
			}
			t.results(attack, got.GetResults())
		}
	})
}
