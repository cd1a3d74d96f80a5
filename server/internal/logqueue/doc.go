// Package logqueue keeps a log from holding up the program that writes it.
//
//	slog ── Write ──▶ Queue ── one goroutine ──▶ io.Writer (standard error)
//	                    └─ full: the line is dropped and counted; a report line takes its place
//
// A pipe that nobody reads blocks write(2), and with it every goroutine that logs. Here only the
// Queue's own goroutine waits.
package logqueue
