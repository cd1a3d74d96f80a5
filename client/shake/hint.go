package main

import (
	"errors"
	"strings"

	"github.com/CarterTsai/tcp-shaker/client"
	"github.com/CarterTsai/tcp-shaker/client/internal/machine"
)

// hint returns the flags that help if shake and the service disagree about TLS. It is empty for other
// errors.
func (o *options) hint(err error) string {
	certificates := strings.Join(o.access.tlsFlags(), ", ")
	switch {
	case errors.Is(err, client.ErrServiceSpeaksTLS) && o.plaintext:
		return "; for TLS drop --plaintext, and give --ca unless the system's certificates verify the service"
	case errors.Is(err, client.ErrServiceSpeaksTLS):
		return "; for TLS give --ca or --server-name"
	case !errors.Is(err, client.ErrServiceSpeaksPlaintext):
		return ""
	case machine.IsThis(o.server):
		return "; for plaintext drop " + certificates
	case certificates != "":
		return "; for plaintext give --plaintext, and drop " + certificates
	default:
		return "; for plaintext give --plaintext"
	}
}
