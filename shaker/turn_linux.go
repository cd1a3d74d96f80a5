package shaker

// Whose turn it is: which probe a loop starts next.

const (
	// fairShare bounds what one batch may have in flight to so many times what is still free. However much it wants, it leaves
	// a ninth of the places to others, and two leave a seventeenth. The last place is kept for a batch that has none: so of
	// two or more places no single batch holds all, but many batches together can, and then a newcomer waits for the first of
	// their probes to end.
	fairShare = 8
)

// start begins a bounded number of probes, one of each share in turn, as far as there are free slots, places at the
// addresses, and a permit of the pace. It returns when to come back if it is the pace that holds it up, else 0.
func (s *shard) start() (started bool, again int64) {
	begun := clock()
	stale := staleSharesPerTurn
	for n, now := 0, begun; n < startsPerTurn && now-begun < startTime; n, now = n+1, clock() {
		sh := s.pick(&stale)
		if sh == nil {
			started = started || stale == 0
			break
		}
		if !s.permit {
			if again = s.engine.pace.take(now); again != 0 {
				break
			}
			s.permit = true
		}
		s.runnable.pop()
		j, at := sh.next()
		ok := at != nil
		if !ok {
			at, ok = s.addresses.claim(j.addr)
		}
		if sh.runnable = sh.startable() > 0; sh.runnable {
			s.runnable.push(sh)
		}
		started = true
		if !ok {
			at.park(j, sh)
			continue
		}
		s.queued--
		s.permit = false
		s.begin(sh, &j, at)
	}
	return started, again
}

// pick brings the share whose turn it is to the front of the queue and returns it; nil where nothing can be started now, or
// where it has passed over as many stale shares as it may. Those that have their fair share it passes over as well; each of
// them has something in flight, so they are fewer than the table's places.
func (s *shard) pick(stale *int) *share {
	free := s.table.free()
	if free <= 0 {
		return nil
	}
	for n := s.runnable.len(); n > 0 && *stale > 0; n-- {
		sh := *s.runnable.front()
		switch {
		case sh.ended != nil || sh.startable() == 0:
			sh.runnable = false
			s.runnable.pop()
			*stale--
		case sh.inFlight == 0 || sh.inFlight < fairShare*free && free > 1:
			return sh
		default:
			s.runnable.push(s.runnable.pop())
		}
	}
	return nil
}
