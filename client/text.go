package client

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// names are the texts of an enum, and a word for the enum. A number without a text is written as
// this word and the number, such as `reason 40`: the service may be newer than this package.
type names[T ~int32] struct {
	kind string
	of   map[T]string
}

func (n names[T]) text(value T) string {
	if text, ok := n.of[value]; ok {
		return text
	}
	return fmt.Sprintf("%s %d", n.kind, int32(value))
}

// set sets value to what text says, or returns an error that lists what is expected. It takes the
// number of a value that has a text too, because an older package wrote the number of what is new
// to it.
func (n names[T]) set(value *T, text []byte) error {
	for known, name := range n.of {
		if name == string(text) {
			*value = known
			return nil
		}
	}
	if number, ok := strings.CutPrefix(string(text), n.kind+" "); ok {
		parsed, err := strconv.ParseInt(number, 10, 32)
		if err == nil && strconv.FormatInt(parsed, 10) == number {
			*value = T(parsed)
			return nil
		}
	}
	return fmt.Errorf("client: %s %s: want %s or `%s NUMBER`", n.kind, shortQuote(text), n.list(), n.kind)
}

// list returns all texts, in the order of the numbers.
func (n names[T]) list() string {
	var texts []string
	for _, value := range slices.Sorted(maps.Keys(n.of)) {
		texts = append(texts, strconv.Quote(n.of[value]))
	}
	return strings.Join(texts, ", ")
}

// shortQuote quotes what may be long.
func shortQuote(text []byte) string {
	const most = 64
	if len(text) > most {
		return strconv.Quote(string(text[:most])) + "…"
	}
	return strconv.Quote(string(text))
}
