// Package truth asks a prober about targets whose truth is known, millions of times and by many callers at once, and compares
// each answer. It is for tests of this module; it knows no prober, so that several can be put to the same trial.
//
//	kind         stands where                      truth
//	open         a kernel's listener on loopback   up
//	closed       a port that is kept, loopback     refused
//	full         a listener with a full queue      silent
//	black hole   the scripted peer                 silent
//	unreachable  the scripted peer, ICMP           unreachable
//	lossy        the scripted peer                 up, or silent where the SYN was "lost"
//	slow         the scripted peer                 up, refused or silent, as its delay and the timeout have it
//
// Of the last two, each knock has an address of its own, and the peer decides the fate of each SYN by a keyed hash of its source
// port and sequence number, and notes it. What it has answered, and the kernel has had, before the timeout of the knock was
// over must have been heard; what it has not answered cannot have been.
package truth
