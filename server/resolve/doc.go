// Package resolve turns names into addresses, a bounded number at a time.
//
// A [Group] is one for the service; it holds the resolver and bounds the lookups that run for all requests together. A
// [Request] is one for an RPC; it bounds the RPC's own lookups, so that one caller's names do not fill the group, and
// lets all who ask for the same name share one lookup. Lookups beyond a bound wait in the order in which they were asked
// for.
//
//	Lookup ─▶ open, queue ─▶ worker ─▶ place in the group ─▶ Resolver ─▶ tidy ─Answer─▶ Answers
//	            (joined by others who ask for the same)
//
// Invariants:
//
//  1. Each id given to Lookup comes back in exactly one Answer, unless the context of the Request ends first.
//  2. No goroutine waits for a name to get its turn: a Request has at most as many as lookups it may run at once.
//  3. Nothing blocks for ever: Lookup never does, and a worker ends with the context, as soon as the Resolver returns.
//  4. A place in the group is held while the Resolver works, never while a reader is awaited.
package resolve
