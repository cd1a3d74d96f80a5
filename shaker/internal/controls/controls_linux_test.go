package controls

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
)

// atOnce is how many runs of the binary go on at a time.
const atOnce = 2

// tries is how often, and tryFor how long, a fault is forced before it counts as unseen: a busy machine can hide some of them from a
// check, such as a timeout that is cut short from one that came late.
const (
	tries  = 5
	tryFor = 10 * time.Second
)

// greenTries is how often the checks may be run without a fault until each was green once: some 90 in one go.
const greenTries = 3

// TestEveryControlGoesRed: without a fault each check can be green, and with each fault the checks that must see it are red. (That a
// check is always green without one is what its own package's run shows.)
func TestEveryControlGoesRed(t *testing.T) {
	binary := build(t, faults)
	if empty := run(t, binary, nil, nil); strings.Contains(empty.output, noNamespace) {
		testnet.Skip(t, testnet.NoNamespace)
	}
	running := make(chan struct{}, atOnce)
	one := func(name string, alone bool, test func(t *testing.T)) {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			if !alone { // what is not parallel ends before that begins
				t.Parallel()
				running <- struct{}{}
				defer func() { <-running }()
			}
			test(t)
		})
	}
	one("no fault", true, func(t *testing.T) {
		var red []check
		for _, f := range faults {
			red = append(red, f.seen...)
		}
		for range greenTries {
			o := run(t, binary, nil, red)
			red = slices.DeleteFunc(red, func(c check) bool { return o.green(c) == nil })
			if len(red) == 0 {
				t.Logf("green after %s", o.took)
				return
			}
			t.Logf("%d checks are not green\n%s", len(red), o.output)
		}
		t.Fatalf("red without a fault, which proves nothing: %v", red)
	})
	for _, f := range faults {
		one(f.name, f.alone, func(t *testing.T) {
			var last outcome
			var err error
			began := time.Now()
			for try := 0; try < tries || time.Since(began) < tryFor; try++ {
				last = run(t, binary, f.inForce(), f.seen)
				if err = unseen(&last, f.seen); err == nil {
					t.Logf("red after %s, at try %d", last.took, try+1)
					return
				}
			}
			t.Errorf("%s: %v\n%s", f.is, err, last.output)
		})
	}
}

// unseen returns what a run with a fault in force lacks to be red.
func unseen(o *outcome, checks []check) error {
	for _, c := range checks {
		if err := o.red(c); err != nil {
			return err
		}
	}
	return nil
}
