//go:build !race

package quota

// fewer divides what the floods do: not here.
const fewer = 1
