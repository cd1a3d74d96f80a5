// Shake tells whether TCP targets answer, by shaking hands with each and leaving before the last ACK:
//
//	shake [flags] TARGET…
//
// It asks a running service (--server, or SHAKE_SERVER), or else probes from this machine, which needs Linux: then the
// service runs inside this process, and is asked in the same way. `shake -h` tells the flags and the exit codes.
package main
