package shaker

// What a shard keeps of shares that are over, so that a loop in its steady state allocates none: so
// many of them, with room for so many elements in each of their lists.
const (
	mostSpareShares = 64
	mostSpareRoom   = 1024
)

// share is the part of a batch that one shard has to do. It belongs to the shard's loop, and exists
// while answers are owed.
//
// A job of a share is in one of four places: in chunks, waiting for its turn; parked, because its address has no room; in
// handed, having got room and waiting for its turn again; or flying, in a slot of the table. Owed counts all four.
type share struct {
	batch  *Batch
	caller *caller // while owed is not 0
	owed   int

	chunks   queue[[]job]
	waiting  int // jobs in chunks
	parked   []*waiter
	handed   queue[*waiter]
	flying   int32 // first of the slots in flight, linked by slot.next; none if there is none
	inFlight int

	turn   turn[*share] // stands among those of its caller as long as it has something to start and has not ended
	ended  error        // why nothing of it may start any more; nil while all is well
	ending bool         // stands among those of which something may be left to drop
	told   bool         // stands in the shard's list of batches to signal
	untold int64        // clock of the poll before the first result that it was not signaled for, where told
}

// reset makes an empty share that owes nothing ready for another batch.
func (s *share) reset() {
	parked := s.parked
	if cap(parked) > mostSpareRoom {
		parked = nil
	}
	*s = share{chunks: s.chunks.emptied(mostSpareRoom), parked: parked, handed: s.handed.emptied(mostSpareRoom)}
}

func (s *share) add(jobs []job) {
	s.chunks.push(jobs)
	s.waiting += len(jobs)
	s.owed += len(jobs)
}

// startable reports how many jobs wait for nothing but their turn.
func (s *share) startable() int { return s.waiting + s.handed.len() }

// next removes the job whose turn it is. A job that was parked comes with its address, where a place is kept for it. There
// must be a startable job.
func (s *share) next() (job, *address) {
	if s.handed.len() > 0 {
		w := s.handed.pop()
		j, at := w.job, w.address
		w.free()
		return j, at
	}
	chunk := s.chunks.front()
	j := (*chunk)[0]
	if *chunk = (*chunk)[1:]; len(*chunk) == 0 {
		s.chunks.pop()
	}
	s.waiting--
	return j, nil
}
