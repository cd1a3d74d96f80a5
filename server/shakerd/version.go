package main

import (
	"runtime"
	"runtime/debug"
)

// version returns the version of the module that this command was built from: its tag or pseudo-version, or else the
// revision of the checkout, or else "devel".
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	return versionOf(info)
}

func versionOf(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	revision, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+dirty"
		}
	}
	if revision == "" {
		return "devel"
	}
	return revision[:min(12, len(revision))] + dirty
}

// versionLine is what --version prints.
func versionLine() string {
	return "shakerd " + version() + " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
}
