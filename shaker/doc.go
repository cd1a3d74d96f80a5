// Package shaker shakes hands with TCP targets without the last ACK, many at a time: the kernel of the target answers, and the
// application behind it never learns of it.
//
//	an open port            a closed port           silence
//	  │── SYN ──────▶│        │── SYN ──────▶│        │── SYN ──────▶✕
//	  │◀── SYN-ACK ──│        │◀────── RST ──│        │── SYN ──────▶✕  sent again after 1 s
//	  │── RST ──────▶│        │              │        │                 until the probe's timeout
//	     Open                     Refused                 TimedOut
//
// An Engine takes addresses and gives outcomes. It knows nothing of names, policy, services or health.
//
//	e, err := shaker.New(shaker.Config{})
//	…
//	defer e.Close()
//	r, err := e.Check(ctx, netip.MustParseAddrPort("192.0.2.10:443"), time.Second)
//	if err == nil && r.Outcome == shaker.Open { … }
//
// # The way of a probe
//
//	Submit ─Probe─▶ inbox ─▶ begin ─slot─▶ poller ─event─▶ finish ─Result─▶ the batch's results
//	                           └─▶ deadlines ──expire────────▲ └─silence─▶ witness ─▲
//
// The engine has a few shards, each one goroutine with one epoll instance and a table of sockets. A probe is queued, in
// flight, or done, and spends its life in one shard: only its Result leaves. [Engine.Submit] takes a slice of probes, and the
// results come back in slices as the loops complete them.
//
// # What it rests on
//
// A client's socket with TCP_DEFER_ACCEPT set holds its ACK of the SYN-ACK back for 200 ms. A connect(2) to an address of
// family AF_UNSPEC within that time disconnects it with an RST, and makes the socket new again: so a probe costs two connect(2)
// calls, and no socket(2) and close(2). New makes sure that the kernel it runs on does hold to this, and falls back to a
// fresh socket for each probe where it does not. It needs no privilege. Linux 5.10 is the oldest kernel it is meant for;
// elsewhere New returns an error that wraps errors.ErrUnsupported.
//
// # What it keeps to
//
//  1. One owner. A socket is opened, watched and closed by its shard's goroutine; no other sees its number (the race detector).
//  2. One answer. An accepted probe gives exactly one Result, also at a cancel, at a close, and at an error of ours
//     (TestOneAnswer, TestAddWhileClosing, TestNothingLeaks).
//  3. No stale event. Epoll's data holds the slot and the generation of its socket; a mismatch is dropped, and counted
//     (TestNoStaleEvent).
//  4. Idle sockets speak too. A slot knows whether it is in flight; an event for one that is not is dropped, and counted
//     (TestIdleSocketsSpeakToo).
//  5. SO_ERROR 0 is no proof. Open needs EPOLLOUT with neither EPOLLERR nor EPOLLHUP, or a kernel that says that our SYN was
//     acknowledged, and that the answer was not our own: a self-connect is Refused, and where a probe of ours may have
//     answered, by the port numbers alone, the target is asked again (TestBareSYNIsNoAnswer, TestSelfConnectIsRefused,
//     TestProbesThatMeetAreNoAnswer, TestPortsMove, TestHairpin, TestSourcePortIsTheTargets, TestSweepOfHighPorts, TestSilenceAfterADoubt,
//     TestPortsBelow1024).
//  6. Only an answered socket is used again. After silence, ICMP, cancel or close it is closed, and that not before 10 ms have
//     passed since its SYN: the next sequence number from its port would be so near that a server still busy with the last
//     handshake would answer the next one with an RST. Where an RST may be such a one all the same, the target is asked again.
//     An address whose last SYN-ACK had no timestamps, or where a reused socket met silence, is asked from fresh sockets only
//     (TestTimeWaitOfRealClients, TestFreshOnly, TestOnlyAnAnsweredSocketIsUsedAgain, TestServerStillInSYNRECV, TestLostRST, TestSequenceAheadOfTheClock,
//     TestRefusalFromTheSamePort, TestLossyServer).
//  7. Two hundred milliseconds. What a turn of a loop does is bounded, and nothing in it logs, blocks, or allocates in the steady
//     state (but for a job that has to wait at its address). Each Open result says whether its silence is proven.
//     A target that is not known to be quiet is asked from a socket that is deaf while we leave, so that TCP has nothing to
//     acknowledge. If it sends data without our ACK, its silence is not proven (TestDataBehindTheAnswer, TestTalkativePeer,
//     TestManners, TestNoGuard, TestNobodyNotices, TestStallIsNotSilence, TestSilenceAgainstTheWire, TestKilledProberIsNotNoticed,
//     TestSteadyStateAllocatesNothing).
//  8. Never wait for a reader. A batch has room for every answer before its probes start (TestResultsKeepTheirOrderAndPlace).
//  9. Answers before deadlines. A probe expires only after a poll that began after its deadline has not reported it, and after a
//     stop of the process or the machine only some milliseconds later. Its timeout runs from connect(2); waiting before that
//     is told apart, as Queued (TestStoppedLoopIsNotTheTargetsFault, TestStoppedProcess, TestAnswersAroundTheDeadline,
//     TestWaitingDoesNotCount).
//  10. Fair blame. Whatever our own kernel refuses to send is LocalError, never the target's fault, at connect(2) and when a SYN is to
//     be sent again. Silence counts only if our address, link and route worked all the while: the witness asks rtnetlink(7). An
//     errno without an ICMP message never speaks of the target (TestExhaustedPortsAreOurTrouble, TestDescriptorsExhaustedAreOurTrouble,
//     TestRoutesThatLeadNowhere, TestAnotherMachine, TestOwnEvents, TestErrnosAfterTheSYN, TestErrorsStayBehind,
//     TestNoAddressToSendFrom, TestPatienceIsTheProbes, TestErrnosAreClassed).
//  11. Fair shares. Callers start probes in turn, also where they wait for a place at one address, and the batches of each in turn;
//     and of two or more places in flight none can hold all (TestCallersInTurn, TestCallersInTurnAtOneAddress,
//     TestNewcomersAreNotKeptWaiting). Canceled batches are answered in the order of their cancels (TestCanceledInOrder). Only
//     loops that hold probes of a batch notice its cancel, and a loop without probes of a batch costs the batch nothing
//     (TestCancelWakesWhoHoldsProbes, TestIdleShardsCostNothing).
//  12. Close means gone. It returns after every probe was answered, every loop has ended and every socket is closed
//     (TestCloseAnswersEverything).
//
// All of it together, at full load, is what TestMixedTruth tries. Package internal/controls forces faults into each and sees the
// tests go red.
//
// # Limits
//
// The kernel sends a SYN that is not answered again after 1 s, and then less and less often (the sysctl
// tcp_syn_linear_timeouts): a timeout below 1 s gives it one chance. A full accept queue is silence. A
// target that still waits for the end of an earlier handshake from the same port, as our RST was lost, answers only the SYN that
// follows some 10 ms later; and where that handshake was another process's, or this one's long ago, its RST is believed. In mode Reuse the
// first probe of an address without TCP timestamps can meet silence, if the kernel gives it the source port of a real client of
// this host whose connection the target still keeps in TIME-WAIT. So can probes that are under way at the same time, and the
// first probe after 65,536 other such addresses were remembered. A silence can be called proven although an ACK left, if a peer
// that has not got our ACK sends data in the microseconds of our leaving, and was quiet at four handshakes before, or sends with a hop
// count of 255, which only a peer on the same link can. No TCP sends so. A packet that
// was dropped on this host, or an RST of its own firewall, looks like the target's. Without AF_NETLINK the engine does not see that an
// address was removed, a link went down or lost its carrier, or a route went away, unless the kernel wanted to send a SYN again;
// Stats.ModeDetail says so. At most Config.MaxInFlightPerAddress probes are in flight to one address and port at a time; the rest
// wait. A listener without SYN cookies whose backlog is smaller drops what is too much, and that looks silent. Descriptors and
// tcp_mem bound what is in flight in all, see [Config]. A probe
// to a closed port of this very host can meet a connect(2) of another process that uses just that port to reach the one we
// send from, and is then answered; two engines that scan the ports of one host, or of each other's, could do that to each other.
package shaker
