package main

import (
	"runtime/debug"
	"testing"
)

func TestVersionOf(t *testing.T) {
	const revision = "2af201a0123456789abcdef0123456789abcdef0"
	built := func(main string, settings ...string) *debug.BuildInfo {
		info := &debug.BuildInfo{Main: debug.Module{Version: main}}
		for i := 0; i < len(settings); i += 2 {
			info.Settings = append(info.Settings, debug.BuildSetting{Key: settings[i], Value: settings[i+1]})
		}
		return info
	}
	tests := []struct {
		info *debug.BuildInfo
		want string
	}{
		{built("v1.2.3", "vcs.revision", revision), "v1.2.3"},
		{built("(devel)", "vcs.revision", revision, "vcs.modified", "false"), "2af201a01234"},
		{built("", "vcs.modified", "true", "vcs.revision", revision), "2af201a01234+dirty"},
		{built("(devel)", "vcs.revision", "ab"), "ab"},
		{built("(devel)"), "devel"},
		{built(""), "devel"},
	}
	for _, tt := range tests {
		if got := versionOf(tt.info); got != tt.want {
			t.Errorf("%+v: %s, want %s", *tt.info, got, tt.want)
		}
	}
}
