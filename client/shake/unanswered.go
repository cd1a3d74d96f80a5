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
	text := fmt.Sprintf("%d of the %d targets that were read have no result", missing, given)
	if total, ok := o.count(); ok && total >= given {
		missing = total - seen.all
		text = fmt.Sprintf("%d of %d targets have no result", missing, total)
	}
	if missing == 0 {
		return
	}
	var names []string
	for _, u := range failed.Unanswered[:min(len(failed.Unanswered), namedUnanswered)] {
		names = append(names, printable(u.Target))
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

// count returns how many targets there are. It is not ok if they come from what can be read only once, such as a pipe.
func (o *options) count() (total int, ok bool) {
	if o.file != "" {
		info, err := os.Stat(o.file)
		if err != nil || o.file == "-" || !info.Mode().IsRegular() {
			return 0, false
		}
	}
	from, err := openSource(o.targets, o.file, nil)
	if err != nil {
		return 0, false
	}
	defer from.close()
	for range from.all {
		total++
	}
	return total, from.err == nil
}
