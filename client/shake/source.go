package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
)

// maxLine bounds a line of a file of targets, in bytes. A target has 260 at most; a comment may be longer.
const maxLine = 64 << 10

// source gives the targets: those of the command line first, then those of the file, line by line as they are wanted.
type source struct {
	args []string
	file io.Reader // nil: none
	name string    // the file's, for messages
	stop func()

	// err is what ended all early. It belongs to the goroutine that runs all, until that has returned.
	err error
}

// openSource returns the source of args and of the file called path: none where that is empty, stdin where it is `-`.
func openSource(args []string, path string, stdin io.Reader) (*source, error) {
	switch path {
	case "":
		return &source{args: args, stop: func() {}}, nil
	case "-":
		return &source{args: args, file: stdin, name: "standard input", stop: func() {}}, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &source{args: args, file: file, name: path, stop: func() { _ = file.Close() }}, nil
}

// close closes the file; a read that is under way in all ends, where the system can do that.
func (s *source) close() { s.stop() }

// all is a sequence of the targets; one that cannot be read ends it, with err set.
func (s *source) all(yield func(string) bool) {
	for _, target := range s.args {
		if !yield(target) {
			return
		}
	}
	if s.file == nil {
		return
	}
	lines := bufio.NewScanner(s.file)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	number := 0
	for lines.Scan() {
		number++
		for target := range targetsOf(lines.Text()) {
			if !yield(target) {
				return
			}
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		s.err = fmt.Errorf("%s:%d: the line is longer than %d bytes", s.name, number+1, maxLine)
	case err != nil:
		s.err = fmt.Errorf("%s:%d: %w", s.name, number+1, err)
	}
}

// targetsOf is a sequence of the targets on a line. Blanks stand between them. A # at the beginning
// of the line or after a blank begins a comment. Within a target, as in a zone, it does not.
func targetsOf(line string) iter.Seq[string] {
	return func(yield func(string) bool) {
		line = strings.TrimPrefix(line, "\uFEFF") // some editors begin a file with that mark
		for word := range strings.FieldsSeq(line) {
			if word[0] == '#' || !yield(word) {
				return
			}
		}
	}
}

// errTooMany is an end of read.
var errTooMany = errors.New("too many targets")

// read returns all targets. With more than limit of them the error is errTooMany. If ctx ends first,
// its error is returned, and the goroutine stays behind in a read that nobody can end.
func (s *source) read(ctx context.Context, limit int) ([]string, error) {
	type list struct {
		targets []string
		err     error
	}
	done := make(chan list, 1)
	go func() {
		var l list
		for target := range s.all {
			if ctx.Err() != nil {
				return
			}
			if len(l.targets) == limit {
				l.err = errTooMany
				break
			}
			l.targets = append(l.targets, target)
		}
		if l.err == nil {
			l.err = s.err
		}
		done <- l
	}()
	select {
	case l := <-done:
		return l.targets, l.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
