// Package access says of each RPC who makes it, and what it may: which methods, which targets, how much at a time, how often.
// It puts together who somebody is (package identity), what may be probed (policy) and how often (quota), and it is what a
// reload of the configuration replaces.
//
//	headers ─▶ Admit ─▶ Admission ──▶ Hold ─▶ the RPC's context, which ends when the caller is not let in any more
//	                        └─ View ─▶ Addr, Name, Named ─▶ Charge… or Book… ─▶ Destination ─▶ the engine
//
// A Control is open, where nobody is asked who they are, or closed, where everything is denied that is not allowed. What holds
// at a moment is a snapshot that never changes; Update puts another in its place. An RPC asks for its View again with each
// message, so what Update changes holds for running streams from their next target on.
//
// Invariants:
//
//  1. Closed stays closed: no Update opens a Control that was closed (TestClosedStaysClosed), and an RPC that was not admitted
//     has no View that allows anything (TestZeroViewAllowsNothing).
//  2. One caller, one account: all RPCs and connections of a caller, under whichever of its identities, are charged together,
//     and an Update gives nobody a fresh burst (TestUpdateKeepsAccounts).
//  3. Nothing is exempt by method: without an identity there is the service's own health, and reflection where that was said
//     (TestAnonymous).
//  4. One caller, one turn: of all that a caller has waiting for the rate of all callers, one RPC stands in that queue
//     (TestNobodyBooksTheServiceAhead, package server).
//  5. What is taken is given back, once: RPCs in Admission.Leave, targets by whoever took them (TestLeaveOnce).
package access
