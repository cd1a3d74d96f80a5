package bench

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// usage is what this process has used so far.
type usage struct {
	at      time.Time
	cpu     time.Duration // user and system
	mallocs uint64
}

// used reads it. It stops the world for the allocations, and so has no place in what is measured.
func used() usage {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return usage{time.Now(), time.Duration(u.Utime.Nano() + u.Stime.Nano()), m.Mallocs}
}

// since returns the figures of n probes that were made since then.
func since(before usage, n int) figures {
	now := used()
	per := 1 / float64(n)
	return figures{
		"probes":           float64(n),
		"probes_per_s":     float64(n) / now.at.Sub(before.at).Seconds(),
		"cpu_us_per_probe": per * float64(now.cpu-before.cpu) / 1e3,
		"allocs_per_probe": per * float64(now.mallocs-before.mallocs),
		"gomaxprocs":       float64(runtime.GOMAXPROCS(0)),
	}
}

// cpuOf returns what another process has used so far, in user and kernel mode, to the nanosecond: its CPU clock
// (clock_getcpuclockid(3)), whose number is made of its PID as MAKE_PROCESS_CPUCLOCK of linux/posix-timers_types.h does.
func cpuOf(pid int) (time.Duration, error) {
	const sched = 2
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|sched), &t); err != nil {
		return 0, err
	}
	return time.Duration(t.Nano()), nil
}
