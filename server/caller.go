package server

import (
	"context"
	"net"
	"net/netip"

	"google.golang.org/grpc/peer"
)

// localCaller is the caller of all connections that come by a unix socket, which tells no address: this machine's own users.
const localCaller = "unix"

// callerBits is the part of an IPv6 address that makes the caller: whoever has one address of a network has all of its /64.
const callerBits = 64

// peerCaller names the caller of an RPC by where its connection comes from: the IPv4 address, the /64 of the IPv6 address, or
// localCaller. So the streams and connections of one caller share one caller's part of the engine. Programs that share an
// address are one caller, whose batches have their turns in turn.
func peerCaller(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return localCaller
	}
	tcp, ok := p.Addr.(*net.TCPAddr)
	if !ok {
		return localCaller
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	if addr.Is6() {
		return netip.PrefixFrom(addr, callerBits).Masked().String()
	}
	return addr.String()
}
