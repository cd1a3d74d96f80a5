package shaker

import (
	"context"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
	"github.com/CarterTsai/tcp-shaker/shaker/internal/truth"
)

// long reports whether the long form of the suite was asked for: minutes in place of seconds.
func long() bool { return os.Getenv("TRUTH") == "long" }

// onTrial puts an engine on trial.
type onTrial struct {
	t *testing.T
	e *Engine
}

var said = [...]truth.Said{
	Unspecified: truth.Nothing, Open: truth.Up, Refused: truth.Refused, Unreachable: truth.ICMP, TimedOut: truth.Silent,
	Canceled: truth.Unknown, LocalError: truth.Unknown,
}

func (p onTrial) Probe(knocks []truth.Knock, answers []truth.Answer) {
	batch, err := p.e.Submit(context.Background(), probesOf(len(knocks), func(i int) Probe {
		return Probe{Addr: knocks[i].Addr, Timeout: knocks[i].Timeout}
	}))
	if err != nil {
		p.t.Error(err)
		return
	}
	for r := range batch.All() {
		a := &answers[r.ID]
		if a.Said != truth.Nothing {
			p.t.Errorf("a second answer: %s", r)
		}
		*a = truth.Answer{
			Said: said[r.Outcome], Proven: r.Silence == Proven, Port: r.Source.Port(), Waited: r.Queued, Took: r.Elapsed,
			ICMP: truth.ICMPError(r.ICMP),
		}
		if a.Said == truth.Unknown {
			a.Detail = r.String()
		}
	}
}

// TestMixedTruth asks about millions of targets (thousands in the short form) that are open, closed, silent, unreachable, lossy
// and slow, from 256 callers at once and at full load, where the truth of each is known. No answer is false, no handshake is
// noticed, no probe has trouble of our own, and no ACK leaves.
func TestMixedTruth(t *testing.T) {
	testnet.Private(t)
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			knocks := 60_000
			if long() {
				knocks = 2_000_000
			}
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.NumCPU() + 1)) // as the service has it
			c := truth.Config{Knocks: knocks, Callers: 256, Batch: 64, Seed: rand.Uint64()}
			t.Logf("seed %d", c.Seed)
			e := newEngine(t, Config{Mode: mode})
			r := truth.Try(t, c, onTrial{t, e})
			s := e.Stats()
			t.Logf("%s%d shards, longest turn %s, silence proven %d, unproven %d, broken %d", r, s.Shards, s.LongestTurn,
				s.SilenceProven, s.SilenceUnproven, s.SilenceBroken)
			for _, example := range r.Examples {
				t.Error(example)
			}
			if r.False+r.Unknown+r.Lies != 0 {
				t.Errorf("%d false, %d unknown, %d silences called proven whose ACK was seen", r.False, r.Unknown, r.Lies)
			}
			loud := int64(s.SilenceBroken + s.SilenceUnproven)
			if r.ACKs > loud+r.Late || int64(r.Noticed) > r.ACKs || r.ACKs > 0 && !stopped(e) {
				t.Errorf("%d noticed, %d ACKs, %d of them late, %d silences not called proven", r.Noticed, r.ACKs, r.Late, loud)
			}
		})
	}
}
