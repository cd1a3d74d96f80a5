package main

import (
	"errors"

	"github.com/CarterTsai/tcp-shaker/client"
)

// hint returns the flags that help if shake and the service disagree about TLS. It is empty for other
// errors.
func hint(err error) string {
	switch {
	case errors.Is(err, client.ErrServiceSpeaksTLS):
		return "; for TLS give --ca or --server-name, and no --plaintext"
	case errors.Is(err, client.ErrServiceSpeaksPlaintext):
		return "; for plaintext give --plaintext, and no --ca, --server-name, --cert or --key"
	default:
		return ""
	}
}
