package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxShown is how many errors the text of Errors tells one by one.
const maxShown = 1000

// Position is a place in the file. Line and Column count from 1; a column is a character, and a tab is one. The zero value is
// what did not come from the file.
type Position struct{ Line, Column int }

// Error is one thing that is wrong with a file.
type Error struct {
	File         string // as it was given to Load or Parse
	Line, Column int    // as those of a Position; both 0: the file as a whole
	Text         string // a sentence, in one line, without a period
}

// Error returns FILE:LINE:COLUMN: and the sentence.
func (e Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Text)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Text)
}

// Errors is all that is wrong with a file, at least one thing, in the order of the file.
type Errors []Error

// Faulty is the error of a file that has Errors.
type Faulty struct {
	Errors
	// Listen is what of the listeners could be read, whatever else is wrong: so that what is wrong with the files that they name can
	// be told as well. It is good for nothing else.
	Listen []Listener
}

// Unwrap returns the Errors.
func (f *Faulty) Unwrap() error { return f.Errors }

// Error returns a line for each error, the first 1,000 of them; one more line then says how many more there are.
func (e Errors) Error() string {
	var b strings.Builder
	for i, one := range e {
		if i > 0 {
			b.WriteByte('\n')
		}
		if i == maxShown {
			fmt.Fprintf(&b, "%s: and %d more", one.File, len(e)-maxShown)
			break
		}
		b.WriteString(one.Error())
	}
	return b.String()
}

// inOrder sorts e by position, and drops those that are there twice: what an alias stands for is read at each place of it.
func (e Errors) inOrder() Errors {
	slices.SortFunc(e, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Text, b.Text))
	})
	return slices.Compact(e)
}
