package testnet

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain runs everything in a namespace of its own and looks for goroutines that were left behind.
func TestMain(m *testing.M) {
	os.Exit(Main(func() int {
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
