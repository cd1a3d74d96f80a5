package controls

import "slices"

// fault is a bug to force in the engine, and the checks that must see it.
type fault struct {
	name  string
	is    string   // what it breaks, in a sentence
	edits []edit   // none, if it is a set of others
	with  []string // other faults that are in force together with it
	seen  []check
	alone bool // what sees it loads the whole machine, which could hide other faults
}

// edit replaces old, which stands exactly once in a file of package shaker. What it brings is guarded by fault(name).
type edit struct{ file, old, new string }

// check is one test of package shaker, named as it prints itself, and a part of what it says when it sees the fault.
type check struct {
	test, says string
	afterwards bool // the test passes, and TestMain says it then, of what all tests have left behind
}

// inForce returns the names of all that is forced with a fault.
func (f *fault) inForce() []string { return append([]string{f.name}, f.with...) }

var faults = slices.Concat(silenceFaults, answerFaults, reuseFaults, blameFaults, timeFaults, paceFaults, shareFaults, tellingFaults)
