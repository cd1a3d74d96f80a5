//go:build !linux

package testnet

// Main runs the tests where they are.
func Main(run func() int) int { return run() }
