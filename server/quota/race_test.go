//go:build race

package quota

// fewer divides what the floods do: under the race detector, which has nothing to find in one goroutine, they would take minutes.
const fewer = 50
