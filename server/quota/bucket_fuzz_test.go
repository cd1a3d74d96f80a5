package quota

import (
	"encoding/binary"
	"math"
	"math/big"
	"testing"
	"time"
)

// twin is a token bucket as one would write it down: a number of tokens, negative while some wait, and no rounding at all.
type twin struct {
	perNano, full, tokens *big.Rat
}

func ratio(x float64) *big.Rat { return new(big.Rat).SetFloat64(x) }

// newTwin makes a twin that has a token each so many nanoseconds.
func newTwin(spacing, full int64) *twin {
	return &twin{big.NewRat(1, spacing), big.NewRat(full, 1), big.NewRat(full, 1)}
}

func (w *twin) add(tokens *big.Rat) {
	if w.tokens = new(big.Rat).Add(w.tokens, tokens); w.tokens.Cmp(w.full) > 0 {
		w.tokens = w.full
	}
}

func (w *twin) advance(d int64) { w.add(new(big.Rat).Mul(w.perNano, big.NewRat(d, 1))) }

// wait returns how many nanoseconds it takes until the bucket has n, or is full.
func (w *twin) wait(n *big.Rat) int64 {
	if n.Cmp(w.full) > 0 {
		n = w.full
	}
	missing := new(big.Rat).Sub(n, w.tokens)
	if missing.Quo(missing, w.perNano).Sign() <= 0 {
		return 0
	}
	if !missing.IsInt() {
		panic("a time between two nanoseconds")
	}
	return missing.Num().Int64()
}

// use is tokens that were taken or given back: when they may be used, or were given back.
type use struct {
	at int64
	n  int64 // negative: given back
}

// FuzzBucket holds Take and Return to the twin exactly, at the spacing that FuzzSpacing holds to the rate, and to the first
// invariant over every span.
func FuzzBucket(f *testing.F) {
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz"))
	f.Add([]byte("\x09\x10\x03\x20\x00\x05\x00\x00\x05\xff\x01\x02\x00\x09\x80\x00\x05\xff"))
	f.Add([]byte("\x00\x01\x00\x01\xff\xff\xff\x00\x00\x00\x01\xff\xff\xff\xff\x00\x00\x00\x01\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		next := func() byte {
			if len(in) == 0 {
				return 0
			}
			b := in[0]
			in = in[1:]
			return b
		}
		rate := Rate{
			PerSecond: math.Pow10(int(next()%19)-9) * (1 + float64(next())/23),
			Burst:     1 + int(binary.BigEndian.Uint16([]byte{next(), next()}))<<(next()%15),
		}
		rate.PerSecond = min(rate.PerSecond, MaxPerSecond)
		if err := rate.Validate(); err != nil {
			t.Fatal(err)
		}
		var (
			b       Bucket
			spacing = rate.spacing()
			full    = min(int64(rate.Burst), horizon/spacing)
			w       = newTwin(spacing, full)
			now     = int64(int8(next())) * 1e9
			uses    []use
			unused  int64
		)
		for len(in) > 0 && len(uses) < 48 {
			op, size := next(), next()
			n := 1 + int64(float64(size)/250*float64(full))
			if size < 100 {
				n = 1 + int64(size)%20
			}
			switch op % 4 {
			case 0: // time passes
				d := int64(min(float64(spacing)*float64(size)/16*float64(1+op>>4), 1<<54, farthest-float64(now)))
				now += d
				w.advance(d)
			case 1:
				if n = min(n, unused); n > 0 {
					b.Return(rate, at(time.Duration(now)), int(n))
					w.add(big.NewRat(n, 1))
					uses = append(uses, use{now, -n})
					unused -= n
				}
			default:
				var most int64
				if op%4 == 3 {
					most = int64(min(float64(spacing)*float64(op), horizon))
				}
				wait, ok := b.Take(rate, at(time.Duration(now)), int(n), time.Duration(most))
				exact := w.wait(big.NewRat(n, 1))
				if int64(wait) != exact || ok != (n <= full && exact <= most) {
					t.Fatalf("%+v: %d with a wait of at most %d ns: %d, %t; exact is %d", rate, n, most, int64(wait), ok, exact)
				}
				if ok {
					w.tokens = new(big.Rat).Sub(w.tokens, big.NewRat(n, 1))
					uses = append(uses, use{now + exact, n})
					unused += n
				}
			}
		}
		checkSpans(t, rate, uses)
	})
}

// checkSpans looks at every span between two uses. What was given back while those waited, or came, who used theirs in it, is on
// top.
func checkSpans(t *testing.T, rate Rate, uses []use) {
	t.Helper()
	perNano := new(big.Rat).Quo(ratio(rate.PerSecond), ratio(1e9))
	for _, from := range uses {
		for _, to := range uses {
			if to.at < from.at || from.n < 0 || to.n < 0 {
				continue
			}
			used, first, last := int64(0), -1, 0
			for i, u := range uses {
				if u.n > 0 && from.at <= u.at && u.at <= to.at {
					used += u.n
					last = i
					if first < 0 {
						first = i
					}
				}
			}
			for _, u := range uses[first : last+1] {
				used += min(u.n, 0)
			}
			most := new(big.Rat).Mul(perNano, big.NewRat(to.at-from.at, 1))
			if most.Add(most, big.NewRat(int64(rate.Burst), 1)).Cmp(big.NewRat(used, 1)) < 0 {
				t.Fatalf("%+v: %d used in %d ns, want at most %v", rate, used, to.at-from.at, most.FloatString(3))
			}
		}
	}
}
