package main

import (
	"context"
	"log/slog"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notify tells systemd, where it has started this process and waits to hear (sd_notify(3)).
func notify(ctx context.Context, log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.LogAttrs(ctx, slog.LevelWarn, "systemd was not told", slog.String("state", state), slog.Any("error", err))
	}
}
