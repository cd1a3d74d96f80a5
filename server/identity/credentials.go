package identity

import (
	"context"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc/credentials"
)

// serverCreds shake hands as the State in force says.
type serverCreds struct{ gate *Gate }

// ServerHandshake makes the handshake of the listener that raw came by. gRPC has set raw's deadline, and closes it after an
// error.
func (s serverCreds) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	tag := tagOf(raw)
	if tag == nil {
		return raw, plaintext(raw), nil
	}
	if t := s.gate.State().listeners[tag.listener]; t != nil {
		return t.handshake(raw, tag)
	}
	if s.gate.hadTLS(tag.listener) {
		return nil, nil, fmt.Errorf("identity: listener %q had TLS and has none any more; it takes no connections until it has, "+
			"or until a restart", tag.listener)
	}
	c := plaintext(raw)
	c.listener, c.uid, c.hasUID = tag.listener, tag.uid, tag.hasUID
	return raw, c, nil
}

func (t *TLS) handshake(raw net.Conn, tag *taggedConn) (net.Conn, credentials.AuthInfo, error) {
	conn, auth, err := t.creds.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	info, ok := auth.(credentials.TLSInfo)
	if !ok {
		conn.Close()
		return nil, nil, fmt.Errorf("identity: grpc's TLS credentials gave a %T", auth)
	}
	return conn, &Conn{
		CommonAuthInfo: info.CommonAuthInfo,
		listener:       tag.listener,
		under:          raw,
		secured:        true,
		certs:          info.State.PeerCertificates,
		uid:            tag.uid,
		hasUID:         tag.hasUID,
	}, nil
}

// ClientHandshake refuses: these are a server's.
func (serverCreds) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("identity: a gate's credentials are for servers alone")
}

// Info names the protocol. What a connection really speaks its AuthInfo tells.
func (serverCreds) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "identity"}
}

// Clone returns credentials of the same gate.
func (s serverCreds) Clone() credentials.TransportCredentials { return s }

// OverrideServerName does nothing: it is a client's matter.
func (serverCreds) OverrideServerName(string) error { return nil }
