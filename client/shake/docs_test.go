package main

import (
	"flag"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/CarterTsai/tcp-shaker/client"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// The default of each flag is the same in the program and in the help, and that of --interval in the
// documents. What is left to the service has the service's default.
func TestDocumentedDefaults(t *testing.T) {
	o := new(options)
	fs := o.flags(noEnv)
	if o.timeout != 0 || o.attempts != 0 || o.addresses != 0 || o.deadline != 0 || o.wait != 0 || o.file != "" ||
		o.server != "" || o.access != (access{}) {
		t.Fatalf("the words for these defaults are not true any more: %+v", o)
	}
	const anything = "" // words, or none: the flag has no value to begin with
	want := map[string]string{
		"rate": limit(o.rate), "connect-timeout": short(o.connectTimeout), "interval": short(o.interval), "o": o.output,
		// The service's own.
		"timeout": short(shaker.DefaultTimeout), "attempts": "1", "addresses": client.FirstAddress.String(),
		"server": "SHAKE_SERVER from the environment", "ca": "the system's", "server-name": "the host of --server", "deadline": "no limit",
		"token-file": "SHAKE_TOKEN_FILE from the environment", "cert": anything, "key": anything, "f": anything, "wait": anything,
		"plaintext": anything, "insecure": anything, "exhaustive": anything, "4": anything, "6": anything, "evidence": anything,
		"version": anything,
	}
	got := helpDefaults()
	fs.VisitAll(func(f *flag.Flag) {
		value, known := want[f.Name]
		if !known {
			t.Errorf("what is the default of %s?", spelled(f.Name))
		}
		if got[f.Name] != value {
			t.Errorf("-h says that the default of %s is %q, and it is %q", spelled(f.Name), got[f.Name], value)
		}
	})
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok {
			t.Errorf("-h has a default of %s, which is no flag", spelled(name))
		}
	}
	wait, err := os.ReadFile("../../docs/wait.md")
	if err != nil {
		t.Fatal(err)
	}
	if text := "`--interval` (" + strings.Replace(want["interval"], "s", " s", 1) + " by default)"; !strings.Contains(string(wait), text) {
		t.Errorf("docs/wait.md does not say %s", text)
	}
}

// helpDefaults reads the default of each flag in -h. It is empty for a flag that has none.
func helpDefaults() map[string]string {
	defaults := make(map[string]string)
	starts := regexp.MustCompile(`(?m)^  --?([a-z0-9-]+)`).FindAllStringSubmatchIndex(usage, -1)
	for i, at := range starts {
		end := len(usage)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		text, _, _ := strings.Cut(usage[at[0]:end], "\n\n") // what follows is no flag's
		text = strings.Join(strings.Fields(text), " ")
		value := ""
		if m := regexp.MustCompile(`\(?default:? ([^;:)]+)[;:)]`).FindStringSubmatch(text); m != nil {
			value = m[1]
		} else if m := regexp.MustCompile(`(\w+) \(default\)`).FindStringSubmatch(text); m != nil {
			value = m[1]
		}
		defaults[usage[at[2]:at[3]]] = value
	}
	delete(defaults, "h")                 // package flag has that one itself
	defaults["4"], defaults["6"] = "", "" // on one line
	defaults["key"] = ""                  // on that of --cert
	return defaults
}

// Each shake command in the documents is a command line that is accepted, and spells flags -x and
// --word.
func TestDocumentedCommands(t *testing.T) {
	command := regexp.MustCompile(`(?m)^(?: {4}|\$ |.*\| )?shake( .*)$`)
	list := regexp.MustCompile(`(?m)^ *(?:args|command): \[(.*)\]$`)
	for path, least := range map[string]int{"../../README.md": 8, "../../docs/wait.md": 8} {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, m := range command.FindAllStringSubmatch(string(content), -1) {
			line, _, _ := strings.Cut(m[1], " #")
			line = regexp.MustCompile(` (2>|\||&&|\|\|).*`).ReplaceAllString(line, "")
			lines = append(lines, line)
		}
		for _, m := range list.FindAllStringSubmatch(string(content), -1) {
			lines = append(lines, strings.NewReplacer(`"`, "", ",", "").Replace(m[1]))
		}
		if len(lines) < least {
			t.Errorf("%s has %d commands: %q", path, len(lines), lines)
		}
		for _, line := range lines {
			if _, err := parseArgs(strings.Fields(line), noEnv); err != nil {
				t.Errorf("%s: shake%s: %v", path, line, err)
			}
			for _, word := range strings.Fields(line) {
				if name, ok := strings.CutPrefix(word, "-"); ok && name != "" && name[0] != '-' && len(name) > 1 {
					t.Errorf("%s: shake%s: %s is spelled -%s", path, line, word, word)
				}
			}
		}
	}
}

// The documents have the exit codes of the help.
func TestDocumentedExitCodes(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, codes, _ := strings.Cut(usage, "Exit codes:\n")
	for line := range strings.Lines(codes) {
		code, meaning, _ := strings.Cut(strings.TrimSpace(line), " ")
		row := "| " + code + " | " + strings.TrimSpace(meaning) + " |"
		if len(code) == 1 && !strings.Contains(strings.ReplaceAll(string(readme), "`", ""), row) {
			t.Errorf("README has no row %s", row)
		}
	}
}
