package server

import (
	"context"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// Check implements ShakerService: a batch of targets, once, answered in order when all are decided. What is still in flight
// then, because a verdict was certain early, is canceled.
func (s *Server) Check(ctx context.Context, req *tcpshakerv1.CheckRequest) (*tcpshakerv1.CheckResponse, error) {
	if s.isDraining() {
		return nil, errDraining()
	}
	targets := req.GetTargets()
	o, err := s.decode(targets, req.GetOptions())
	if err != nil {
		return nil, err
	}
	if !answerFits(targets, o) {
		return nil, errAnswerTooLarge()
	}

	out := make(ordered, len(targets))
	work, err := s.newSession(ctx, out, len(targets))
	if err != nil {
		return nil, err
	}
	defer work.close()
	work.fitTimeouts()
	work.told.targets += uint64(len(targets))
	if err := work.pay(targets, o); err != nil {
		return nil, err
	}
	work.take(targets, o)
	if err := work.run(nil); err != nil {
		return nil, err
	}
	return out.response(), nil
}

// ordered is the sink of a Check: a slot per target.
type ordered []slot

func (o ordered) slot(index uint64) *slot { return &o[index] }

func (ordered) written() error { return nil }

func (ordered) pending() int { return 0 }

func (ordered) flush() error { return nil }

func (o ordered) response() *tcpshakerv1.CheckResponse {
	results := make([]*tcpshakerv1.CheckResult, len(o))
	for i := range o {
		results[i] = &o[i].result
	}
	return &tcpshakerv1.CheckResponse{Results: results}
}
