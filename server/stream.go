package server

import (
	"time"

	"google.golang.org/grpc"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// When a stream's results are sent, whichever comes first. A message of 64 results or more costs the two sides 0.6 µs a
// result, one of a single result 5 to 7, and a millisecond is little beside what a handshake takes.
const (
	flushResults = 256
	flushBytes   = 256 << 10
	flushDelay   = time.Millisecond
)

// checkStream is a StreamCheck as gRPC gives it to its handler.
type checkStream = grpc.BidiStreamingServer[tcpshakerv1.StreamCheckRequest, tcpshakerv1.StreamCheckResponse]

// StreamCheck implements ShakerService: any number of targets, answered as they complete. A stream
// that is old, or that a drain ends, retires.
func (s *Server) StreamCheck(stream checkStream) error {
	if s.isDraining() {
		return errDraining()
	}
	results := new(page)
	work, err := s.newSession(stream.Context(), results, 0)
	if err != nil {
		return err
	}
	defer work.close()
	work.retiring = s.newRetirement()
	out := s.newSender(stream)
	defer out.close()
	results.send = func(m *tcpshakerv1.StreamCheckResponse) error { return work.sendBy(out, m) }
	in := s.newIntake(stream)
	defer in.close()
	return work.run(in)
}

// page is the sink of a StreamCheck: the response message under way. Message and slots are used again for the next one, which
// is safe because Send has encoded the message when it returns. After an error of send they are left to it. Send blocks while
// the caller's flow-control window is full, and with it the session's loop: results then wait in the batch, which has room for
// all, and nothing more is read. See sender for how long.
type page struct {
	send     func(*tcpshakerv1.StreamCheckResponse) error
	response *tcpshakerv1.StreamCheckResponse // nil until the first is sent
	slots    []*slot                          // the first count are written
	count    int
	bytes    int // an upper bound of the size of what is written
}

// slot returns the first that is not written.
func (p *page) slot(uint64) *slot {
	if p.count == len(p.slots) {
		p.slots = append(p.slots, new(slot))
	}
	return p.slots[p.count]
}

// written takes the slot into the message. One that would make it too large waits for the next, so a message exceeds
// flushBytes only where a single result does.
func (p *page) written() error {
	size := resultSize(&p.slots[p.count].result)
	if p.count > 0 && p.bytes+size > flushBytes {
		last := p.count
		if err := p.flush(); err != nil {
			return err
		}
		p.slots[0], p.slots[last] = p.slots[last], p.slots[0]
	}
	p.count++
	p.bytes += size
	if p.count == flushResults || p.bytes >= flushBytes {
		return p.flush()
	}
	return nil
}

func (p *page) pending() int { return p.count }

// flush sends what is written; there must be something.
func (p *page) flush() error {
	if p.response == nil {
		p.response = new(tcpshakerv1.StreamCheckResponse)
	}
	p.response.Results = p.response.Results[:0]
	for _, s := range p.slots[:p.count] {
		p.response.Results = append(p.response.Results, &s.result)
	}
	p.count, p.bytes = 0, 0
	err := p.send(p.response)
	if err != nil { // it may still be read
		p.response, p.slots = nil, nil
	}
	return err
}
