// Shake checks whether TCP targets answer. It shakes hands with each and leaves before the last ACK:
//
//	shake [flags] TARGET…
//	shake [flags] vantage
//
// It asks a running service (--server, or SHAKE_SERVER). Without one it probes from this machine, which
// needs Linux: the service then runs inside this process, and is asked in the same way. With --wait it asks
// until all targets are reachable. `shake -h` explains the flags and the exit codes.
package main
