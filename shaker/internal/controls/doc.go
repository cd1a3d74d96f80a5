// Package controls holds the positive controls of package shaker's tests. A check that shows that something is absent (no ACK
// left, nobody accepted, no false up, no second answer, no leak) proves nothing unless it goes red where that is present. So
// for each there is a fault that is forced in the very engine, and the very check must see it.
//
// The engine has no switches for this. Each fault is a few edits of its source, guarded by a call fault("name"); all of them
// are compiled together into one test binary, through an overlay (go help build), and an environment variable says which of
// them are in force. Without it the binary behaves as the tests of the engine as it is, which is checked first.
//
// To add one, write it into the list that it belongs to: an edit's old text has to stand exactly once in its file, and no
// other edit may touch it; short texts live longest. The check is named as the test prints itself, and narrowed to the
// quickest subtest that sees the fault. It names a part of what the test says as well, so that it is red for the right reason.
package controls
