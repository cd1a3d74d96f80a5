package shaker

import "cmp"

// mostSpares bounds the values that one spares keeps, if it has no bound of its own: 0.5 MB of the
// largest.
const mostSpares = 4096

// spares keeps values that nobody needs for now, so that a loop in its steady state allocates none.
// The zero value is empty.
type spares[T any] struct {
	kept []*T
	most int // how many at most; 0: mostSpares
}

// take returns a value as it was kept, or a zero one.
func (s *spares[T]) take() *T {
	n := len(s.kept)
	if n == 0 {
		return new(T)
	}
	v := s.kept[n-1]
	s.kept[n-1] = nil
	s.kept = s.kept[:n-1]
	return v
}

// keep keeps v for take if there is room. The caller must not use it any more.
func (s *spares[T]) keep(v *T) {
	if len(s.kept) < cmp.Or(s.most, mostSpares) {
		s.kept = append(s.kept, v)
	}
}
