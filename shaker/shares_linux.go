package shaker

// How a shard's part of a batch begins, and how it ends: with its last answer, or because its batch was
// canceled and the rest is dropped.

// join makes the share of a batch that begins to be owed answers. The context of the batch may have
// ended before.
func (s *shard) join(b *Batch) *share {
	sh := s.spare.take()
	sh.batch, sh.flying = b, none
	s.live[b] = sh
	s.callers.join(sh)
	if why := b.hold(s.number); why != nil {
		s.end(sh, why)
	}
	return sh
}

// part forgets a share that owes nothing and stands in none of the shard's lists.
func (s *shard) part(sh *share) {
	if sh.owed > 0 || sh.told || sh.ending {
		return
	}
	sh.reset()
	s.spare.keep(sh)
}

// end has everything of a share dropped.
func (s *shard) end(sh *share, why error) {
	if sh.ended == nil {
		sh.ended = why
		s.callers.dequeue(sh)
		s.willDrop(sh)
	}
}

// willDrop puts an ended share behind those that drop has to deal with first.
func (s *shard) willDrop(sh *share) {
	if !sh.ending {
		sh.ending = true
		s.ending.push(sh)
	}
}

// drop answers for batches that have ended, a bounded number of jobs in a turn. The batch that was
// canceled first is answered first.
func (s *shard) drop() {
	jobs := droppedPerTurn
	for s.ending.len() > 0 && jobs > 0 {
		sh := *s.ending.front()
		switch {
		case sh.flying != none:
			s.dropped(sh.flying, sh.ended)
			jobs--
		case len(sh.parked) > 0:
			w := sh.parked[len(sh.parked)-1]
			w.leave()
			s.addresses.forget(w.address)
			s.refuse(sh, &w.job)
			w.free()
			jobs--
		case sh.startable() > 0:
			j, at := sh.next()
			if at != nil {
				s.release(at)
			}
			s.refuse(sh, &j)
			jobs--
		default:
			s.ending.pop()
			sh.ending = false
			s.part(sh)
		}
	}
	if s.ending.len() == 0 {
		s.ending = s.ending.emptied(mostSpareRoom)
	}
}

// refuse answers a job of an ended share that was never started.
func (s *shard) refuse(sh *share, j *job) {
	s.queued--
	r := unsent(j, clock())
	r.Outcome, r.Err = Canceled, sh.ended
	s.answer(sh, &r)
}
