package testnet

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// onThread runs f on a thread of its own, which ends with it, so f may do to it what cannot be undone. It reports whether f
// returned: it may have ended its goroutine, as t.Fatal does.
func onThread(f func()) (returned bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The first thread outlives its goroutines, and /proc/self tells of it. It waits here; the next is another.
			defer runtime.UnlockOSThread()
			returned = onThread(f)
			return
		}
		f()
		returned = true
	}()
	<-done
	return returned
}
