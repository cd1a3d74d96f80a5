package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

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
