//go:build !linux

package shaker

import (
	"errors"
	"fmt"
	"runtime"
)

// shard has no form here: a handshake without the last ACK needs Linux's epoll, TCP_DEFER_ACCEPT on the client's side and
// disconnecting connect(2). An imitation that connected fully would break the promise silently.
type shard struct{ published published }

func start(Config) (*Engine, error) {
	return nil, fmt.Errorf("no engine for %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func (*shard) send(message) bool { return false }

func (*shard) close() {}

// witness has no form here either.
type witness struct{}

func (e *Engine) closeWitness() {}

type doubt struct{}
