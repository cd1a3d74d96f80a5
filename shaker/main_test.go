package shaker

import (
	"fmt"
	"os"
	"testing"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
	"go.uber.org/goleak"
)

// TestMain runs everything in a network namespace of its own and looks for goroutines that were left behind.
func TestMain(m *testing.M) {
	os.Exit(testnet.Main(func() int {
		// Go's own poller opens its descriptors at the first use of it, and keeps them: tests that count must not meet that.
		if r, w, err := os.Pipe(); err == nil {
			r.Close()
			w.Close()
		}
		code := m.Run()
		if code == 0 {
			if err := goleak.Find(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
		return code
	}))
}
