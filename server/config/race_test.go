//go:build race

package config

// raced says that the race detector is in the binary, which makes it several times as slow.
const raced = true
