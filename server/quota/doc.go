// Package quota counts handshakes against rates: a Bucket for each caller and one for the service, and Destinations for what is
// done to others.
//
// It has no clock of its own: callers pass now, a time.Now() with its monotonic reading. Nothing here blocks, but for the few
// instructions under the locks of the ports: a Bucket tells how long to wait, and the caller does the waiting.
//
// Invariants:
//
//  1. In any span of length t, a Bucket whose Rate stays the same gives at most Burst + PerSecond × t tokens, counted where the waits
//     for them end; with Book it is the greatest n in the place of Burst, if that is more. Beside that are tokens that were given
//     back (Bucket.Return says which). Who uses them later than that has to bound by how much.
//  2. A lowered Rate never leaves a Bucket with more tokens than it had.
//  3. Memory is bounded by constants, whatever is asked for (table.go, ports.go).
//  4. Nothing is evicted from Destinations. Two destinations whose keyed hashes collide are limited as if they were one, so a
//     collision makes a limit stricter and never looser, and who asks cannot choose which ones collide.
//  5. A refused Take leaves nothing behind.
package quota
