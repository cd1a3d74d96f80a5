package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/CarterTsai/tcp-shaker/server/config"
)

// TestDocumentsAgree: the default of each flag is the same in the program, in -h, in README's table and, if the configuration file has
// its key, in the example's comment on that key. Each key of the file is a flag, or README speaks of it.
func TestDocumentsAgree(t *testing.T) {
	readme, example := read(t, "../../README.md"), read(t, "shakerd.example.yaml")
	said := map[string]map[string]string{
		"-h":                   usageDefaults(),
		"README.md":            readmeDefaults(readme),
		"shakerd.example.yaml": exampleDefaults(example),
	}
	flags := flagDefaults(t)
	for name, want := range flags {
		for _, document := range slices.Sorted(maps.Keys(said)) {
			got, ok := said[document][name]
			switch {
			case document == "shakerd.example.yaml" && !slices.Contains(config.Keys(), keyOf(name)):
			case !ok:
				t.Errorf("%s does not have --%s", document, name)
			case got != want:
				t.Errorf("%s says that the default of --%s is %q, and it is %q", document, name, got, want)
			}
		}
	}
	for document, defaults := range said {
		for name := range defaults {
			if _, ok := flags[name]; !ok && document != "shakerd.example.yaml" {
				t.Errorf("%s has --%s, which is no flag", document, name)
			}
		}
	}
	for _, key := range config.Keys() {
		if _, ok := flags[flagOf(key)]; !ok && !regexp.MustCompile(`\b`+key+`\b`).MatchString(readme) {
			t.Errorf("README.md does not speak of the key %s", key)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(data), "\r\n", "\n")
}

// keyOf returns the key in the file that means what a flag does.
func keyOf(flag string) string {
	if flag == "label" { // one of labels
		return "labels"
	}
	return strings.ReplaceAll(flag, "-", "_")
}

// flagOf is the opposite of keyOf.
func flagOf(key string) string {
	if key == "labels" {
		return "label"
	}
	return strings.ReplaceAll(key, "_", "-")
}

// flagDefaults asks the program. What is not a value, it has in words.
func flagDefaults(t *testing.T) map[string]string {
	t.Helper()
	o, err := parseFlags(nil)
	if err != nil {
		t.Fatal(err)
	}
	format := "text"
	if o.logJSON {
		format = "json"
	}
	values := map[string]any{
		"listen": o.listen[0].text, "rate": o.rate, "max-in-flight": o.maxInFlight, "max-in-flight-per-address": o.maxPerAddress,
		"shards": o.shards, "name-cache": o.nameCache, "name-cache-failures": o.nameFailures, "drain-delay": o.drainDelay, "grace": o.grace, "stream-age": o.streamAge,
		"log-format": format, "log-level": strings.ToLower(o.logLevel.String()),
		"config": "none", "metrics-listen": "nowhere", "name": "the host name", "label": "none",
	}
	if o.config != "" || o.metricsListen != nil || o.name != "" || len(o.labels) > 0 || len(o.listen) > 1 {
		t.Error("the words for these defaults are not true any more")
	}
	defaults := make(map[string]string)
	flagSet(o).VisitAll(func(f *flag.Flag) {
		value, known := values[f.Name]
		if b, ok := f.Value.(interface{ IsBoolFlag() bool }); ok && b.IsBoolFlag() {
			value, known = map[string]string{"false": "off", "true": "on"}[f.DefValue], true
		}
		if !known {
			t.Errorf("what is the default of --%s?", f.Name)
		}
		defaults[f.Name] = strings.Replace(fmt.Sprint(value), "m0s", "m", 1) // 30m0s
	})
	return defaults
}

// usageDefaults reads -h. A flag without a value is off, and one whose default is not told has none.
func usageDefaults() map[string]string {
	defaults := make(map[string]string)
	starts := regexp.MustCompile(`(?m)^  (?:-h, )?--([a-z-]+)( [A-Z]+)?`).FindAllStringSubmatchIndex(usage, -1)
	for i, at := range starts {
		name := usage[at[2]:at[3]]
		end := len(usage)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		value := "off"
		if at[4] >= 0 {
			value = "none"
		}
		if m := regexp.MustCompile(`\(default:? ([^)]+)\)`).FindStringSubmatch(usage[at[0]:end]); m != nil {
			value = m[1]
		}
		if name != "help" { // package flag has that one itself
			defaults[name] = value
		}
	}
	return defaults
}

// readmeDefaults reads README's table.
func readmeDefaults(readme string) map[string]string {
	defaults := make(map[string]string)
	for _, row := range regexp.MustCompile("(?m)^\\| `--([a-z-]+)[^|]*\\| ([^|]+) \\|").FindAllStringSubmatch(readme, -1) {
		defaults[row[1]] = row[2]
	}
	return defaults
}

// exampleDefaults reads the comment above each key at the top: `Default V`, `Default: V` or `V (default)`.
func exampleDefaults(example string) map[string]string {
	defaults := make(map[string]string)
	comment := ""
	for line := range strings.Lines(example) {
		if text, ok := strings.CutPrefix(line, "#"); ok {
			comment += text
			continue
		}
		if m := regexp.MustCompile(`^([a-z_]+):`).FindStringSubmatch(line); m != nil && comment != "" {
			words := strings.Join(strings.Fields(comment), " ")
			if d := regexp.MustCompile(`Default:? (.+?)(\.( |$)|: | alone)`).FindStringSubmatch(words); d != nil {
				defaults[flagOf(m[1])] = d[1]
			} else if d := regexp.MustCompile(`(\w+) \(default\)`).FindAllStringSubmatch(words, -1); d != nil {
				defaults[flagOf(m[1])] = strings.Replace(d[0][1], "false", "off", 1)
			}
		}
		if strings.TrimSpace(line) == "" {
			comment = ""
		}
	}
	return defaults
}
