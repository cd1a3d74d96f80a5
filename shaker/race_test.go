//go:build race

package shaker

// raced says that the race detector is in the binary, whose scheduler runs goroutines in random order.
const raced = true
