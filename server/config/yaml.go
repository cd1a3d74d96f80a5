package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// maxDepth is how deep collections may lie in one another. The schema needs six.
const maxDepth = 32

var errTooDeep = fmt.Errorf("lists and mappings lie more than %d deep in one another", maxDepth)

// depthLimit tells YAML's parser of maxDepth.
type depthLimit struct{}

func (depthLimit) CheckDepth(depth int, _ *yaml.DepthContext) error {
	if depth > maxDepth {
		return errTooDeep
	}
	return nil
}

func (depthLimit) CheckAlias(int, int) error { return nil } // aliases are followed here, and counted (walk.go)

// rootOf returns the top of the one document that data is, nil with an error told.
func (r *reader) rootOf(data []byte) *yaml.Node {
	if !r.checkBytes(data) {
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithPlugin(depthLimit{}))
	if err != nil {
		r.wrongAt(Position{1, 1}, "YAML: %v", err)
		return nil
	}
	var first, second yaml.Node
	switch err := load(loader, &first); {
	case errors.Is(err, io.EOF):
		r.wrongAt(Position{1, 1}, "the file is empty: it has no key")
		return nil
	case err != nil:
		r.notYAML(err, data)
		return nil
	}
	switch err := load(loader, &second); {
	case err == nil:
		r.wrongAt(Position{second.Line, second.Column}, "a second document begins here, and a configuration is one")
		return nil
	case !errors.Is(err, io.EOF):
		r.notYAML(err, data)
		return nil
	}
	if len(first.Content) != 1 || isNull(first.Content[0]) {
		r.wrongAt(Position{1, 1}, "the file is empty: it has no key")
		return nil
	}
	return first.Content[0]
}

// load reads the next document. What breaks in the parser is an error: a reload must not end the service.
func load(loader *yaml.Loader, node *yaml.Node) (err error) {
	defer func() {
		if broken := recover(); broken != nil {
			err = fmt.Errorf("the parser broke: %v", broken)
		}
	}()
	return loader.Load(node)
}

// notYAML tells of err, an error of YAML's parser.
func (r *reader) notYAML(err error, data []byte) {
	failure, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		r.wrongAt(Position{1, 1}, "not YAML: %s", short(err.Error()))
		return
	}
	at, begins := Position{failure.Mark.Line, failure.Mark.Column}, Position{failure.ContextMark.Line, failure.ContextMark.Column}
	text := failure.Message
	switch failure.ContextMsg {
	case "while scanning a simple key", "while scanning a quoted scalar":
		if at.Line > begins.Line && begins.Line > 0 { // what has no end is wrong where it begins
			at = begins
		}
	}
	at = within(data, at)
	switch {
	case text == errTooDeep.Error():
		r.wrongAt(at, "%s", text)
		return
	case failure.ContextMsg != "" && begins.Line > 0 && begins != at:
		text += fmt.Sprintf(", %s that begins at %d:%d", failure.ContextMsg, begins.Line, begins.Column)
	}
	r.wrongAt(at, "not YAML: %s%s", short(text), hint(data, at))
}

// within returns at, or the end of data where the parser means the line after the last.
func within(data []byte, at Position) Position {
	if last := bytes.Count(data, []byte("\n")) + 1; at.Line > last {
		return Position{last, utf8.RuneCountInString(lineOf(data, last)) + 1}
	}
	return Position{max(1, at.Line), max(1, at.Column)}
}

// hint returns what those need to know who meet the rules of YAML that configurations run into most.
func hint(data []byte, at Position) string {
	line := lineOf(data, at.Line)
	rest := []rune(line)
	rest = rest[min(max(at.Column-1, 0), len(rest)):]
	switch {
	case strings.HasPrefix(line, "%YAML"):
		return " (leave this line out)"
	case len(rest) > 0 && rest[0] == '\t' || strings.HasPrefix(line, "\t"):
		return " (a line cannot be indented with tabs)"
	case len(rest) > 0 && strings.ContainsRune("*&%@`!", rest[0]):
		return fmt.Sprintf(" (a text that begins with %c needs quotes)", rest[0])
	}
	return ""
}

// lineOf returns a line of data by its number from 1, without its end; empty if there is none.
func lineOf(data []byte, number int) string {
	for line := range strings.Lines(string(data)) {
		if number--; number == 0 {
			return strings.TrimRight(line, "\r\n")
		}
	}
	return ""
}
