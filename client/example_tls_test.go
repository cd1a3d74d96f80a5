package client_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/CarterTsai/tcp-shaker/client"
	"github.com/CarterTsai/tcp-shaker/client/internal/testcert"
	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// A service that is shared, with certificates of one's own on both sides (mTLS).
func ExampleWithTransportCredentials() {
	address, files, stop := serveTLS()
	defer stop()

	ca, err := os.ReadFile(files + "/ca.pem")
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		log.Fatal("ca.pem holds no certificate")
	}
	edge, err := tls.LoadX509KeyPair(files+"/edge.pem", files+"/edge.key")
	if err != nil {
		log.Fatal(err)
	}
	c, err := client.New(address, client.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		RootCAs:      roots,                   // who says that the service is the service
		Certificates: []tls.Certificate{edge}, // who we are
		MinVersion:   tls.VersionTLS13,
	})))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	result, err := c.Check(context.Background(), "192.0.2.7:443")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Verdict)
	// Output: reachable
}

// serveTLS is serve for callers with a certificate. The folder has their files.
func serveTLS() (address, files string, stop func()) {
	ca := testcert.NewCA("corp.example")
	files, err := os.MkdirTemp("", "shaker-example-")
	if err != nil {
		log.Fatal(err)
	}
	cert, key := ca.Issue("edge.corp.example")
	for name, content := range map[string][]byte{"ca.pem": ca.PEM(), "edge.pem": cert, "edge.key": key} {
		if err := os.WriteFile(filepath.Join(files, name), content, 0o600); err != nil {
			log.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{ca.Certificate("127.0.0.1")},
		ClientCAs:    ca.Pool(),
		ClientAuth:   tls.RequireAndVerifyClientCert,
	})))
	tcpshakerv1.RegisterShakerServiceServer(server, stub{})
	go func() { _ = server.Serve(listener) }()
	return listener.Addr().String(), files, func() { server.Stop(); _ = os.RemoveAll(files) }
}
