package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// taskEnv holds, in the environment of this binary, what it is to do as a process of its own.
const taskEnv = "TCPSHAKER_BENCH_TASK"

// patience is how long one process may take before it is killed.
const patience = 4 * time.Minute

// task is what a process does: its Role, and what that needs to know.
type task struct {
	Role     string
	Mode     string // of an engine
	Family   string
	Refused  bool
	Shards   int
	InFlight int
	Count    int      // handshakes, targets, RPCs, engines: what the role counts
	Address  string   // of the service
	PID      int      // of the service
	Targets  []string // to ask it about
	Rate     float64  // targets a second; 0: as fast as it goes
	AtOnce   int      // callers
	Span     time.Duration
}

// roles are what this binary can be. Each returns its figures, but for one that has none.
var roles = map[string]func(task) (figures, error){
	"engine":  engineTask,
	"dial":    dialTask,
	"stream":  streamTask,
	"check":   checkTask,
	"ask":     askTask,
	"flying":  flyingTask,
	"engines": enginesTask,
	"hog":     hogTask,
}

// runTask is main for a role: it prints one line, and returns the exit code.
func runTask() int {
	var t task
	err := json.Unmarshal([]byte(os.Getenv(taskEnv)), &t)
	if err == nil {
		var f figures
		if f, err = roles[t.Role](t); err == nil {
			fmt.Println(f)
			return 0
		}
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", t.Role, err)
	return 1
}

// child returns this binary as a process with a task, which has not started. It dies with who started it, and after a while.
func child(ctx context.Context, t task, processors int) *exec.Cmd {
	text, err := json.Marshal(t)
	if err != nil {
		panic(err)
	}
	cmd := bounded(exec.CommandContext(ctx, "/proc/self/exe"), processors)
	cmd.Env = append(cmd.Env, taskEnv+"="+string(text))
	return cmd
}

// bounded sees to it that a command ends with all that it started, and has its processors unless the environment says how many.
func bounded(cmd *exec.Cmd, processors int) *exec.Cmd {
	cmd.Env = cmd.Environ()
	if os.Getenv("GOMAXPROCS") == "" {
		cmd.Env = append(cmd.Env, "GOMAXPROCS="+strconv.Itoa(processors))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	return cmd
}

// processors is how many bounded gives.
func processors(n int) float64 {
	if set, err := strconv.Atoi(os.Getenv("GOMAXPROCS")); err == nil {
		n = set
	}
	return float64(n)
}

// measure runs a command to its end and reads its figures.
func measure(tb testing.TB, cmd *exec.Cmd) figures {
	tb.Helper()
	var complaint strings.Builder
	cmd.Stderr = &complaint
	output, err := cmd.Output()
	if err != nil {
		tb.Fatalf("%s: %v\n%s", name(cmd), err, complaint.String())
	}
	f, err := parseFigures(string(output))
	if err != nil {
		tb.Fatalf("%s: %v\n%s", name(cmd), err, complaint.String())
	}
	if f["wrong"] > 0 {
		tb.Errorf("%s: wrong answers: %s", name(cmd), f)
	}
	return f
}

// name is how a command calls itself in an error.
func name(cmd *exec.Cmd) string {
	for _, e := range slices.Backward(cmd.Env) {
		if text, ok := strings.CutPrefix(e, taskEnv+"="); ok {
			return text
		}
	}
	return strings.Join(cmd.Args, " ")
}

// perform runs a task to its end.
func perform(tb testing.TB, t task, processors int) figures {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	return measure(tb, child(ctx, t, processors))
}

// untilEOF returns when who started this process closes its standard input, or is gone.
func untilEOF() { _, _ = io.Copy(io.Discard, os.Stdin) }
