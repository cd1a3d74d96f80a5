package client

import (
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/local"

	"github.com/CarterTsai/tcp-shaker/client/internal/machine"
)

// defaultCredentials are plaintext for a target on this machine and TLS for all others. What the caller wrote decides, not
// what a name resolves to, so nobody who answers for DNS can turn TLS off. Local credentials look at the connection
// besides, so a `localhost` that leads away from this machine is refused.
func defaultCredentials(target string) credentials.TransportCredentials {
	if machine.IsThis(target) {
		return local.NewCredentials()
	}
	return credentials.NewTLS(nil)
}
