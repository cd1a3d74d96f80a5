package shaker

// start begins a bounded number of probes, one of each caller in turn, as far as there are free slots, places at the
// addresses, and a permit of the pace. It returns when to come back if it is the pace that holds it up, else 0.
func (s *shard) start() (started bool, again int64) {
	begun := clock()
	for n, now := 0, begun; n < startsPerTurn && now-begun < startTime; n, now = n+1, clock() {
		sh := s.callers.pick(s.table.free())
		if sh == nil {
			break
		}
		if !s.permit {
			if again = s.engine.pace.take(now); again != 0 {
				break
			}
			s.permit = true
		}
		j, at := sh.next()
		s.callers.took(sh)
		ok := at != nil
		if !ok {
			at, ok = s.addresses.claim(j.addr)
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
