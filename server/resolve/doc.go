// Package resolve turns names into addresses, a bounded number at a time.
//
// A [Group] serves all requests. It holds the resolver, bounds the lookups that run at once, lets
// requests that ask the same share one query, and remembers answers for a few seconds. A [Request]
// serves one RPC. It bounds the RPC's own lookups, so that one caller's names do not fill the
// group.
//
//	Lookup ─▶ turns of zones ─▶ lookup ─┬─▶ A:    known, joined, or place ─▶ flight ─▶ Resolver
//	    ▲ joined by equal ones          └─▶ AAAA: known, joined, or place ─▶ flight ─▶ Resolver
//	                                    ◀─ outcome of each, grace ─▶ order ─Answer─▶ Answers
//
// A and AAAA are separate queries, and each keeps its outcome. If one family has its answer, the
// other gets 300 ms more. A name and family without an answer are remembered for 10 s: meanwhile
// their lookups fail at once. A query counts as unanswered in three cases: the resolver says so, or
// it took 2 s until the last request that waited for it left, or the 300 ms were over. In the last
// case only lookups of both families use the memory, as they have the other family.
//
// Invariants:
//
//  1. Each id given to Lookup comes back in exactly one Answer, unless the context of the Request
//     ends first.
//  2. A Request has at most as many goroutines as lookups it may run at once. No goroutine waits
//     for a name to get its turn.
//  3. Nothing blocks for ever: Lookup never does, a lookup ends with its context, and a query ends
//     with the last request that waits for it, as soon as the Resolver returns.
//  4. A place in the group is held while the Resolver works, never while a reader is awaited.
//  5. The end of one request does not end a query that another request waits for.
//  6. What is remembered is bounded: at most 16,384 answers and 6 MB of addresses.
package resolve
