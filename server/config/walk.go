package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// maxNodes is how many values are looked at, aliases followed. An alias costs what it stands for at each place of it.
const maxNodes = 1_000_000

// reader is one reading of a file. It collects errors and goes on.
type reader struct {
	file   string
	errs   Errors
	warned Errors
	walked int // values looked at; beyond maxNodes all walks end

	listenBroken bool // listen has errors, so nobody can be blamed for what it lacks

	claims map[claim]owner // what callers are known by
	caller int             // the one that is being read, by its place
}

// value is a node with aliases followed, and the key that it belongs to.
type value struct {
	*yaml.Node
	key string
}

func (v value) at() Position { return Position{v.Line, v.Column} }

// field is a key of a mapping that becomes a T.
type field[T any] struct {
	name     string
	required bool
	ahead    string // not empty: why this version has no use for the key, which is read and warned of
	read     func(r *reader, into *T, v value)
}

// wrong tells of an error at v.
func (r *reader) wrong(v value, format string, args ...any) { r.wrongAt(v.at(), format, args...) }

func (r *reader) wrongAt(at Position, format string, args ...any) {
	r.errs = append(r.errs, Error{r.file, at.Line, at.Column, fmt.Sprintf(format, args...)})
}

// follow returns node as the value of key. It is false where the file says too much.
func (r *reader) follow(key string, node *yaml.Node) (value, bool) {
	if r.walked++; r.walked > maxNodes {
		if r.walked == maxNodes+1 {
			r.wrong(value{Node: node}, "the file has more than %d values, counting what aliases stand for at each place", maxNodes)
		}
		return value{}, false
	}
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	return value{node, key}, true
}

// readMapping reads v into into, by the table of its keys.
func readMapping[T any](r *reader, into *T, v value, fields []field[T]) {
	seen := make(map[string]bool, len(fields))
	r.eachKey(v, func(key value, child value) {
		seen[key.key] = true
		for _, f := range fields {
			if f.name != key.key {
				continue
			}
			if f.ahead != "" {
				r.warned = append(r.warned, Error{r.file, key.Line, key.Column, fmt.Sprintf("%s does nothing yet: %s", f.name, f.ahead)})
			}
			if !r.missing(key, child) {
				f.read(r, into, child)
			}
			return
		}
		known := namesOf(fields)
		if name := nearest(key.key, known); name != "" {
			r.wrong(key, "unknown key %s: did you mean %s?", quoted(key.key), name)
			seen[name] = true // so as not to miss it as well
		} else {
			r.wrong(key, "unknown key %s: known here are %s", quoted(key.key), strings.Join(known, ", "))
		}
	})
	if v.Kind != yaml.MappingNode {
		return
	}
	for _, f := range fields {
		if f.required && !seen[f.name] && r.walked <= maxNodes {
			r.wrong(v, "%s needs the key %q", v.key, f.name)
		}
	}
}

// eachKey calls read for each key of v, with what stands there, which may be null. Keys that are none, or there twice, are told
// of and left out.
func (r *reader) eachKey(v value, read func(key, child value)) {
	if v.Kind != yaml.MappingNode || !v.untagged() {
		r.mismatch(v, "must be a mapping, of keys to values", "")
		return
	}
	lines := make(map[string]int, len(v.Content)/2)
	for i := 0; i+1 < len(v.Content); i += 2 {
		name := v.Content[i]
		key := value{name, name.Value}
		child, ok := r.follow(name.Value, v.Content[i+1])
		if !ok {
			return
		}
		switch first := lines[name.Value]; {
		case name.Kind == yaml.ScalarNode && name.Tag == "!!merge":
			r.wrong(key, "the merge key << is not used here: give the whole value an anchor instead")
		case !key.isScalar("!!str"):
			r.wrong(key, "a key must be plain text")
		case hasControl(name.Value):
			r.wrong(key, "a key holds a control character")
		case first != 0:
			r.wrong(key, "the key %s is there twice, first on line %d", quoted(name.Value), first)
		default:
			lines[name.Value] = name.Line
			read(key, child)
		}
	}
}

// eachItem calls read for each item of v, which must be a list.
func (r *reader) eachItem(v value, read func(item value)) {
	if v.Kind != yaml.SequenceNode || !v.untagged() {
		r.mismatch(v, "must be a list", "")
		return
	}
	for _, node := range v.Content {
		item, ok := r.follow(v.key, node)
		if !ok {
			return
		}
		if isNull(item.Node) {
			r.wrong(item, "an item of %s has no value", v.key)
			continue
		}
		read(item)
	}
}

// missing tells of a key with nothing behind it. That a default is meant, and not a value forgotten or torn off, cannot be known.
func (r *reader) missing(key, child value) bool {
	if !isNull(child.Node) {
		return false
	}
	r.wrong(key, "%s has no value: give it one, or leave the key out", cut(key.key, 64))
	return true
}

// secretKey is the key whose values are not repeated: one may be the token itself, put there by mistake.
const secretKey = "token_sha256"

// mismatch tells that v is not what its key needs: what it must be, what it is, and in hint, if that is not empty, what to do.
func (r *reader) mismatch(v value, must, hint string) {
	is := cut(v.Value, 64)
	switch {
	case !v.untagged():
		r.wrong(v, "%s has a tag of its own, and none is used here: leave out what begins with !", v.key)
		return
	case v.Kind == yaml.MappingNode:
		is = "a mapping"
	case v.Kind == yaml.SequenceNode:
		is = "a list"
	case v.key == secretKey:
		is = "not"
	case v.Tag == "!!str":
		is = quoted(v.Value)
	}
	r.wrong(v, "%s %s, and is %s%s", v.key, must, is, hint)
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// untagged reports whether v has no tag of its own, such as !!int or !secret: none is used here.
func (v value) untagged() bool { return v.Style&yaml.TaggedStyle == 0 && v.Tag != "!" }

// isScalar reports whether v is one that YAML takes for what tag says.
func (v value) isScalar(tag string) bool {
	return v.Kind == yaml.ScalarNode && v.Tag == tag && v.untagged()
}

func namesOf[T any](fields []field[T]) []string {
	var names []string
	for _, f := range fields {
		if f.ahead == "" {
			names = append(names, f.name)
		}
	}
	return names
}

// quoted returns s in quotes, its end left out if it is long.
func quoted(s string) string { return strconv.Quote(cut(s, 64)) }

// short returns s without its end if it is long.
func short(s string) string { return cut(s, 300) }

func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}
