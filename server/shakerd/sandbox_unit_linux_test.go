//go:build amd64 || arm64

package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// unit is what systemd's unit of the service says: the values of each directive, in their order.
type unit map[string][]string

// unitText is the unit file itself.
func unitText(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("shakerd.service")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// parseUnit reads as much of systemd.syntax(7) as the file uses: no continued lines, no two sections with one directive. An empty
// value takes back those before it.
func parseUnit(text string) (unit, error) {
	u := make(unit)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.ContainsAny(line[:1], "#;[") {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || strings.HasSuffix(line, `\`) {
			return nil, fmt.Errorf("unit: %q is no directive on a line of its own", line)
		}
		if value == "" {
			u[key] = []string{}
		} else {
			u[key] = append(u[key], value)
		}
	}
	return u, nil
}

// number returns the number that a directive has, in a base.
func (u unit) number(key string, base int) (uint64, error) {
	if len(u[key]) != 1 {
		return 0, fmt.Errorf("unit: %s has %d values", key, len(u[key]))
	}
	return strconv.ParseUint(u[key][0], base, 32)
}

// families are those of RestrictAddressFamilies, which lists what is allowed.
func (u unit) families() ([]uint32, error) {
	var families []uint32
	for _, name := range strings.Fields(strings.Join(u["RestrictAddressFamilies"], " ")) {
		number, ok := familyNumbers[name]
		if !ok {
			return nil, fmt.Errorf("unit: no number known of %s", name)
		}
		families = append(families, number)
	}
	return families, nil
}

// calls are those that SystemCallFilter allows, of the sets in callSets: a first line that lists what is allowed, and what later
// lines, which begin with ~, take away.
func (u unit) calls() (map[uintptr]bool, error) {
	allowed := make(map[uintptr]bool)
	for i, line := range u["SystemCallFilter"] {
		names, refuse := strings.CutPrefix(line, "~")
		if refuse == (i == 0) {
			return nil, fmt.Errorf("unit: SystemCallFilter=%s: first what is allowed, and then what is not", line)
		}
		for _, name := range strings.Fields(names) {
			calls, err := callsOf(name)
			if err != nil {
				return nil, err
			}
			for _, call := range calls {
				allowed[call] = !refuse
			}
		}
	}
	return allowed, nil
}

func mustParse(t *testing.T) unit {
	t.Helper()
	u, err := parseUnit(unitText(t))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestUnitSays what the sandbox of TestRunsInTheSandbox imitates whether or not the unit says it, and what an operator relies on.
func TestUnitSays(t *testing.T) {
	u := mustParse(t)
	for key, want := range map[string][]string{
		"Type": {"notify"}, "DynamicUser": {"yes"}, "RuntimeDirectory": {"shakerd"}, "UMask": {"0077"},
		"CapabilityBoundingSet": {}, "AmbientCapabilities": {}, "NoNewPrivileges": {"yes"}, "RestrictSUIDSGID": {"yes"},
		"PrivateUsers":  {"no"}, // peers of unix sockets are known by their uid
		"ProtectSystem": {"strict"}, "ProtectHome": {"yes"}, "PrivateTmp": {"yes"}, "PrivateDevices": {"yes"}, "DevicePolicy": {"closed"},
		"ProcSubset": {"all"}, "ProtectProc": {"invisible"}, "ProtectKernelTunables": {"yes"}, "ProtectKernelModules": {"yes"},
		"ProtectKernelLogs": {"yes"}, "ProtectControlGroups": {"yes"}, "ProtectClock": {"yes"}, "ProtectHostname": {"yes"},
		"SystemCallArchitectures": {"native"}, "SystemCallErrorNumber": {"EPERM"}, "RestrictNamespaces": {"yes"},
		"RestrictRealtime": {"yes"}, "LockPersonality": {"yes"}, "MemoryDenyWriteExecute": {"yes"},
	} {
		if got, said := u[key]; !said || !slices.Equal(got, want) {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	stop, err := time.ParseDuration(strings.Join(u["TimeoutStopSec"], " "))
	if least := defaultGrace + 5*time.Second + time.Second + flushTime; err != nil || stop <= least {
		t.Errorf("TimeoutStopSec is %v, want more than the default of --grace, 5 s, 1 s of scrapes and %v of the log: %v; %v",
			stop, flushTime, least, err)
	}
	if code := strings.Join(u["RestartPreventExitStatus"], " "); code != strconv.Itoa(exitUsage) {
		t.Errorf("RestartPreventExitStatus is %q, want %d: a wrong configuration", code, exitUsage)
	}
}

// TestUnitRefuses the calls of refusedSets, each of them, and no address family but those that the daemon uses.
func TestUnitRefuses(t *testing.T) {
	u := mustParse(t)
	allowed, err := u.calls()
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range refusedSets {
		calls, err := callsOf(set)
		if err != nil || len(calls) == 0 && set != "@cpu-emulation" && set != "@obsolete" { // of which arm64 has none
			t.Fatalf("%s: %d calls, %v", set, len(calls), err)
		}
		for _, call := range calls {
			if allowed[call] {
				t.Errorf("%s: call %d is allowed", set, call)
			}
		}
	}
	if got, want := u["RestrictAddressFamilies"], "AF_INET AF_INET6 AF_UNIX AF_NETLINK"; !slices.Equal(got, []string{want}) {
		t.Errorf("RestrictAddressFamilies is %q, want %q", got, want)
	}
}
