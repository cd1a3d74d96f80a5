// Command shakerd serves tcpshaker.v1.ShakerService: it tells callers over gRPC whether TCP targets answer, as seen from
// this machine, without the applications behind them learning of it. Linux only.
//
// It listens on 127.0.0.1:50051 unless told otherwise, and refuses to be open to other machines unless told so in so many
// words; shakerd -h tells the flags.
//
// SIGTERM or SIGINT ends it in order: grpc.health.v1 says NOT_SERVING; for --drain-delay new RPCs are still served; then nothing new
// is taken, running RPCs have --grace to end, and streams are told UNAVAILABLE. A second signal ends it at once, at whatever step.
//
// The log goes to standard error through a bounded queue. A reader that is slow, stuck or gone costs lines of the log, which are
// counted, and nothing else. At exit the queue has a second to be written.
//
// The exit code is 0 after an end in order, 1 for a failure at run time or an end by a second signal, 2 for a wrong use of
// flags.
package main
