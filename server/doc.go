// Package server is the front desk: ShakerService of tcpshaker.v1, for any *grpc.Server (Server.Register) or as a whole
// service with health, reflection, limits and an orderly end (Server.Run). It knows requests, names, addresses and verdicts;
// what a handshake is, package shaker knows.
//
// # The way of a target
//
//	headers ─▶ access.Admit ─▶ message ─▶ options, access.Charge…
//	   ─▶ target.Parse ─▶ resolve ─▶ access.View ──────────▶ []shaker.Probe ─▶ Batch
//	          │              │          │                                       │
//	          └── INVALID ───┴─ NAME ───┴─ DENIED, LIMITED ─▶ CheckResult ◀─ verdict ◀─ []shaker.Result
//
// What one target suffers becomes its CheckResult; what a request as a whole suffers becomes a status, made in errors.go and
// nowhere else.
//
// # Who owns what
//
// Each Check and StreamCheck is a session: one loop, in the goroutine of its handler, that owns all its state. A message's
// targets take places in the session's slab (task); a probe's ID is a place, an address and an attempt, so a result finds
// its target without a map. A literal target costs no goroutine, channel, timer or allocation of its own. Beside the loop
// there are only a stream's reader, which calls Recv when the loop allows it, and the lookups of package resolve.
//
// Check and StreamCheck differ in their sink: ordered keeps a slot per target, page fills a message and sends it.
//
// # Invariants
//
//  1. One answer: an RPC that ends with OK has given exactly one CheckResult per target (TestCheckAnswersInOrder,
//     TestStreamIndexCountsAllTargets).
//  2. Fair blame: the verdict follows from the reason alone, and nothing that is not understood is held against a target
//     (TestVerdictGoesByDecades, TestReasonOfEveryResult).
//  3. Silence decides only if every handshake with an address met it: our own trouble and what was
//     cut off come before it (TestHandshakesOfAnAddress, TestEverySequenceOfHandshakes).
//  4. What the deadline cut off is never TIMED_OUT, and makes no target UNREACHABLE (TestCutAttemptsAreNeverTimedOut,
//     TestDeadlineKeepsTimeForTheWayHome).
//     A timeout that is left unset is fitted into the deadline of a Check (TestTimeoutsOfAnRPC,
//     TestDeadlineDecidesTheSameEachTime).
//  5. Judged before asked: every address of a target has passed the policy before its first packet, and the address that
//     was judged is the one that is probed (TestPolicyDeniesBeforeAnyPacket).
//     The addresses are judged again for each caller if another RPC brought them (TestRememberedNamesAreJudged).
//  6. A verdict is sent as soon as it cannot change: no answer waits for other handshakes (TestEarlyCertainty), unless all were asked for
//     (TestExhaustiveMakesAllTenMillisecondsApart).
//  7. Bounded: a stream has at most its limit of targets outstanding, and one message, those included whose answer was given
//     while handshakes go on (TestOutstandingBound, TestSlowReaderHoldsBackItself,
//     TestDecidedTargetsCountUntilTheirLastHandshake).
//  8. No answer beyond 3 MiB: what could exceed it is refused before it is probed (TestBoundIsAnUpperBound).
//  9. Nothing is left behind: an RPC that ends cancels its batch and its lookups (TestCancelFrees, and goleak over all).
//     A lookup that other RPCs wait for goes on.
//  10. A panic ends its RPC with INTERNAL and nothing else, in whichever goroutine (TestPanicTellsTheCallerNothing,
//     TestReaderRecovers, TestLookupTroubleIsNotTheTargets).
//  11. Let in by its headers: of an RPC that is refused no byte of a message is read, and nothing stays
//     (TestUnknownCallers, TestRefusedLeavesNothing).
//  12. An RPC is charged before its first SYN for all that it can come to. Handshakes that were not
//     made, or sent no SYN, are refunded (TestCheckBeyondTheBurst, TestWhatIsNotMadeIsGivenBack,
//     TestUnsentIsRefunded, TestCanceledIsGivenBack). An RPC that can never be charged has no
//     RetryInfo (TestRetryOnlyWhereWaitingHelps).
//  13. Each RPC has its line in the log, with all that was begun for it (TestAuditLine, TestAuditCountsWhatWasAsked,
//     TestUnreadIsTold, TestLineHasTheCallersCode, TestLineOfAnEarlyEnd), and each connection that
//     came to none (TestFailedConnectionsAreLogged).
//  14. Half of a name is no verdict: a family whose lookup failed, and addresses that are not probed, make no target REACHABLE
//     under ALL; a failed family makes none UNREACHABLE under ANY (TestHalvesOfAName, TestHalvesWithANameServer, TestAllOfManyAddresses).
//  15. In order: a stream that ends because it is old has answered every target that it has read, and so has one that a drain
//     ends, unless the answer took more than 4 s (TestStreamAge, TestDrainAnswersWhatWasRead, TestDrainIsBounded). No connection's
//     age ends an RPC (TestOldConnectionKeepsItsStreams).
//
// # Statuses that are not ours
//
// gRPC itself refuses what it cannot decode, before any of this runs: RESOURCE_EXHAUSTED for a
// message of more than 4 MiB, as it comes or unpacked, INTERNAL for one that is no protobuf, a
// string that is not UTF-8 among it. These come without details.
package server
