package config

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

const examplePath = "../shakerd/shakerd.example.yaml"

// example returns the example file, and what it says.
func example(t testing.TB) ([]byte, *Config) {
	t.Helper()
	data, err := os.ReadFile(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Load(examplePath)
	if err != nil || c.Warnings != nil {
		t.Fatal(err, c.Warnings)
	}
	return bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), c
}

// TestExample: the example file says what stands in the golden file, which is every field of Config.
func TestExample(t *testing.T) {
	data, _ := example(t)
	c, err := Parse("/etc/shakerd.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Separator == '/' {
		golden(t, "testdata/example.json", append(got, '\n'))
	}
}

// TestExampleHasEveryKey: a key that this package knows is in the example file, at its place; and nothing of a Config that the
// file sets has its zero value, so no key is only read and then forgotten.
func TestExampleHasEveryKey(t *testing.T) {
	data, _ := example(t)
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		t.Fatal(err)
	}
	top := root.Content[0]
	for _, mapping := range []struct {
		path []string
		keys []string
	}{
		{nil, Keys()},
		{[]string{"listen"}, namesOf(listenerFields)},
		{[]string{"listen", "tls"}, namesOf(tlsFields)},
		{[]string{"callers"}, namesOf(callerFields)},
		{[]string{"callers", "identity"}, namesOf(identityFields)},
		{[]string{"callers", "limits"}, namesOf(callerLimitsFields)},
		{[]string{"limits"}, namesOf(limitsFields)},
		{[]string{"limits", "per_address"}, namesOf(perAddressFields)},
		{[]string{"limits", "per_prefix"}, namesOf(perPrefixFields)},
		{[]string{"limits", "ports_per_address"}, namesOf(portsFields)},
	} {
		for _, key := range mapping.keys {
			if len(find(top, append(slices.Clone(mapping.path), key)...)) == 0 {
				t.Errorf("the example lacks %s", strings.Join(append(mapping.path, key), "."))
			}
		}
	}
}

// find returns the values at a path of keys, through all items of lists.
func find(n *yaml.Node, path ...string) []*yaml.Node {
	switch {
	case n.Kind == yaml.SequenceNode:
		var found []*yaml.Node
		for _, item := range n.Content {
			found = append(found, find(item, path...)...)
		}
		return found
	case len(path) == 0:
		return []*yaml.Node{n}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Kind == yaml.MappingNode && n.Content[i].Value == path[0] {
			if len(path) == 1 {
				return []*yaml.Node{n.Content[i+1]}
			}
			return find(n.Content[i+1], path[1:]...)
		}
	}
	return nil
}

// TestTornExampleAllowsNoMore: each beginning of the example file, byte by byte, is an error or allows less than the whole. It is
// what a reload can see of a file that is overwritten in place. That holds of the example's order of keys, and it says so.
func TestTornExampleAllowsNoMore(t *testing.T) {
	data, whole := example(t)
	parsed := 0
	for n := range len(data) {
		if raced && n%5 != 0 { // it takes a minute there, and nothing here runs beside anything else
			continue
		}
		c, err := Parse(examplePath, data[:n])
		if (c == nil) == (err == nil) {
			t.Fatalf("%d bytes: %v and %v", n, c, err)
		}
		if err != nil {
			inside(t, data[:n], err)
			continue
		}
		parsed++
		if len(c.Callers) != 1 {
			t.Fatalf("%d bytes: %d callers", n, len(c.Callers))
		}
		got, want := c.Callers[0], whole.Callers[0]
		rest := *whole
		rest.Callers = c.Callers
		switch {
		case len(got.Allow) > len(want.Allow), !slices.Equal(got.Allow, want.Allow[:len(got.Allow)]):
			t.Errorf("%d bytes: allows %v", n, got.Allow)
		case !slices.Equal(got.Deny, want.Deny), got.Limits != want.Limits, !reflect.DeepEqual(got.Identity, want.Identity):
			t.Errorf("%d bytes: %+v", n, got)
		case !reflect.DeepEqual(*c, rest):
			t.Errorf("%d bytes: %+v", n, c)
		}
	}
	if parsed == 0 {
		t.Error("no beginning could be parsed")
	}
	t.Logf("%d of %d beginnings are valid", parsed, len(data))
}
