package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/CarterTsai/tcp-shaker/client"
)

// namedUnanswered is how many targets without a result are named on standard error.
const namedUnanswered = 10

// tellUnanswered writes how many targets have no result, and the first of them. A file is counted to its end, because the
// targets that were not even read have none either; of standard input, or a pipe, no more is known than what was read of it.
func (o *options) tellUnanswered(stderr io.Writer, seen *tally, err error) {
	failed, ok := errors.AsType[*client.Error](err)
	if !ok {
		return // the targets are not to blame, nor the service
	}
	missing := len(failed.Unanswered)
	given := seen.all + missing
	var names []string
	for _, u := range failed.Unanswered[:min(missing, namedUnanswered)] {
		names = append(names, printable(u.Target))
	}
	text := ofRead(missing, given)
	if total, unread, ok := o.count(given, namedUnanswered-len(names)); ok && total >= given {
		missing = total - seen.all
		text = ofAll(missing, total)
		names = append(names, unread...)
	}
	if missing == 0 {
		return
	}
	switch {
	case len(names) == 0:
	case len(names) < missing:
		text += fmt.Sprintf(": %s and %d more", strings.Join(names, ", "), missing-len(names))
	default:
		text += ": " + strings.Join(names, ", ")
	}
	fmt.Fprintf(stderr, "shake: %s\n", text)
}

// ofAll says how many of all targets have no result.
func ofAll(missing, total int) string {
	if total == 1 {
		return "1 target has no result"
	}
	return fmt.Sprintf("%d of %d targets %s no result", missing, total, have(missing))
}

// ofRead says it of those that were read.
func ofRead(missing, given int) string {
	if given == 1 {
		return "the 1 target that was read has no result"
	}
	return fmt.Sprintf("%d of the %d targets that were read %s no result", missing, given, have(missing))
}

func have(n int) string {
	if n == 1 {
		return "has"
	}
	return "have"
}

// count returns how many targets there are, and the first of those behind the given ones, up to some.
// It is not ok if they come from what can be read only once, such as a pipe.
func (o *options) count(given, some int) (total int, unread []string, ok bool) {
	if o.file != "" {
		info, err := os.Stat(o.file)
		if err != nil || o.file == "-" || !info.Mode().IsRegular() {
			return 0, nil, false
		}
	}
	from, err := openSource(o.targets, o.file, nil)
	if err != nil {
		return 0, nil, false
	}
	defer from.close()
	for target := range from.all {
		if total >= given && len(unread) < some {
			unread = append(unread, printable(target))
		}
		total++
	}
	return total, unread, from.err == nil
}
