package main

import (
	"errors"
	"fmt"

	"github.com/CarterTsai/tcp-shaker/client"
)

// withHint returns err with the flags that help, if shake and the service disagree about TLS.
func withHint(err error) error {
	switch {
	case errors.Is(err, client.ErrServiceSpeaksTLS):
		return fmt.Errorf("%w; for TLS give --ca or --server-name, and no --insecure", err)
	case errors.Is(err, client.ErrServiceSpeaksPlaintext):
		return fmt.Errorf("%w; for plaintext give --insecure, and no --ca, --server-name, --cert or --key", err)
	default:
		return err
	}
}
