package shaker

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// dealWhole is the largest number of jobs that go to one shard together. Splitting fewer costs more in wake-ups than it
// gains.
const dealWhole = 32

// Engine makes handshakes. Its methods may be called from any goroutine. It owns no socket: its shards do.
type Engine struct {
	config Config
	detail string // why the mode is what it is
	limit  int    // probes in flight to one ip:port, for all shards together
	shards []*shard
	pace   pace

	bound       InFlightBound
	boundDetail string

	doors     doors
	halfOpen  halfOpen
	freshOnly freshOnly
	manners   manners
	cancels   cancels
	witness   *witness // nil without netlink

	translated [2]atomic.Bool // by family: link-local source addresses reach other networks, see usable

	usualDrops uint32        // segments that this kernel counts as dropped in a handshake in which nothing is amiss
	turn       atomic.Uint32 // which shard the next small batch goes to
	closed     atomic.Bool
	refused    atomic.Uint64 // jobs that were answered with Canceled before a loop saw them
	loops      sync.WaitGroup
	closing    sync.Once
}

// New starts an engine. It reads RLIMIT_NOFILE, tcp_mem and the range of local ports once, and shakes hands with a loopback listener of its own
// to see what this kernel counts and, in mode Auto, whether sockets can be used again on it; it takes about a millisecond. The
// caller must Close it.
//
// Errors: what is wrong with config; what the kernel says to an epoll or an eventfd; elsewhere than on Linux, one that wraps
// errors.ErrUnsupported.
func New(config Config) (*Engine, error) {
	if err := config.validate(); err != nil {
		return nil, fmt.Errorf("shaker: %w", err)
	}
	e, err := start(config)
	if err != nil {
		return nil, fmt.Errorf("shaker: %w", err)
	}
	return e, nil
}

// Open returns an empty batch to Add probes to. When ctx ends, all probes of it that are not answered yet are answered with
// Canceled, and their sockets closed.
func (e *Engine) Open(ctx context.Context) *Batch { return e.OpenFor(ctx, "") }

// OpenFor is Open where several callers share the engine, each with a name of its own; that of Open, Submit and Check is empty.
// The engine serves callers in turn, and the batches of each caller in turn: who has one probe does not wait for who has a
// million, in however many batches. It forgets a name when the last probe of it is answered.
func (e *Engine) OpenFor(ctx context.Context, caller string) *Batch { return newBatch(ctx, e, caller) }

// Submit hands over probes that are to be answered together: all of them or, with an error, none. It does not wait. The
// Batch gives exactly one Result for each, in order of completion. Errors are those of [Batch.Add].
func (e *Engine) Submit(ctx context.Context, probes []Probe) (*Batch, error) {
	b := e.Open(ctx)
	if err := b.Add(probes); err != nil {
		b.Finish()
		b.Take()
		return nil, err
	}
	b.Finish()
	return b, nil
}

// Check makes one handshake with addr and waits for its result; a timeout of 0 means DefaultTimeout. When ctx ends first, the
// result is Canceled. The error, which is one of Submit's, says that the question could not be put; an address that does not
// answer is no error.
func (e *Engine) Check(ctx context.Context, addr netip.AddrPort, timeout time.Duration) (Result, error) {
	b, err := e.Submit(ctx, []Probe{{Addr: addr, Timeout: timeout}})
	if err != nil {
		return Result{}, err
	}
	results, _ := b.Next()
	r := results[0]
	b.Take() // sees that the batch is over, and lets go of ctx
	return r, nil
}

// Close refuses further probes, answers those that have no answer yet with Canceled and ErrClosed, and returns when the
// loops have ended and every socket is closed. It may be called more than once, and concurrently. The error is always nil.
func (e *Engine) Close() error {
	e.closed.Store(true)
	for _, s := range e.shards {
		s.close()
	}
	e.loops.Wait()
	e.closing.Do(e.closeWitness)
	return nil
}

// Stats returns what the engine has done and is at. It costs the loops nothing.
func (e *Engine) Stats() Stats {
	all := Stats{
		Mode:                 e.config.Mode,
		ModeDetail:           e.detail,
		Shards:               e.config.Shards,
		MaxInFlight:          e.config.MaxInFlight,
		MaxInFlightDetail:    e.boundDetail,
		InFlightBound:        e.bound,
		MaxInFlightPerTarget: e.limit,
		Rate:                 e.config.Rate,
	}
	for _, s := range e.shards {
		s.published.addTo(&all)
	}
	all.Done[Canceled] += e.refused.Load()
	return all
}

// deal spreads jobs over the shards: a few to one, in turn, many in equal parts. What a closed shard does not take is
// answered here, so that each job has its one answer.
func (e *Engine) deal(b *Batch, jobs []job) {
	n := len(e.shards)
	first := int(e.turn.Add(1) % uint32(n))
	if len(jobs) <= dealWhole {
		n = 1
	}
	for k := range n {
		part := jobs[len(jobs)*k/n : len(jobs)*(k+1)/n]
		at := (first + k) % len(e.shards)
		if len(part) > 0 && !e.shards[at].send(message{batch: b, jobs: part}) {
			b.refuse(part, ErrClosed)
		}
	}
}

// refuse answers jobs that no loop is to see: because the engine closed, or the context had ended, before they came.
func (b *Batch) refuse(jobs []job, why error) {
	for i := range jobs {
		r := unsent(&jobs[i], clock())
		r.Outcome, r.Err = Canceled, why
		b.put(&r, none)
	}
	b.engine.refused.Add(uint64(len(jobs)))
	b.signal()
}

// unsent returns the beginning of a result for a job that was never started.
func unsent(j *job, now int64) Result {
	return Result{ID: j.id, Addr: j.addr, Queued: time.Duration(now - j.queued)}
}
