// Package bench holds what this repository says of its speed against something else, each time in one run: against the least that a
// C program gets from the same kernel, against other probers, the service against its engine, and a question beside a full load
// against one without. It is all in its tests:
//
//	make bench                                        all tables, about six minutes
//	go test -run '^$' -bench Engine ./server/internal/bench
//
// Each table is a benchmark, so that RUN and -bench can name it:
//
//	Engine    the engine in all its ways beside the C program (testdata/halfopen.c)
//	Probers   the engine beside net.Dialer, and others
//	Stream    StreamCheck of a shakerd, over TCP and a unix socket, beside the engine alone
//	Check     Check of one target, by 1, 16 and 128 callers at once
//	Beside    how long Check and grpc.health.v1 take beside a stream at full load
//	Memory    bytes for a handshake in flight, an idle engine, an idle stream
//	Flat      shakerd's memory over a long stream
//	Idle      what shakerd takes without a caller
//	Hogs      the engine on a machine that is busy with other things
//
// A table is run in rounds. In each, every line runs once, in an order that chance decides and in a process of its own, which measures
// what it used itself (user and system, both ends of loopback) and not its start; a figure is the median of the rounds, with the least and the
// greatest. A ratio is taken within each round, and then the median: what the machine does beside comes and goes over minutes, and
// both sides of a round have it. The ratios are the promise; the figures are the machine's. A shakerd is another process still, which
// lives as long as its table; what it uses, who calls it reads from its CPU clock. Flat and Idle are one line, once.
//
// Noticed are handshakes that a listener would have been given, as the machine stood still for the 200 ms after which the kernel sends
// the ACK; not proven are the answers that said so, or could not be sure, and must be no fewer.
//
// Everything happens on loopback in a network namespace of its own or, where that is not allowed, in that of the caller.
//
// The environment says how much:
//
//	BENCH=long          larger numbers of everything and seven rounds: about half an hour
//	BENCH=smoke         next to nothing, as the tests do
//	BENCH_ROUNDS=N      so many rounds
//	BENCH_PROBES=N      so many handshakes to a line
//	BENCH_ALSO='a=cmd'  other probers for BenchmarkProbers, separated by semicolons: a name and a shell command that makes
//	                    $PROBES handshakes, $AT_ONCE at once, with the addresses in $TARGETS, and prints
//	                    "probes=… probes_per_s=… cpu_us_per_probe=…"
//	GOMAXPROCS=N        for every process; without it each has one more than its engine has shards, as shakerd has
package bench
