package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"google.golang.org/grpc/credentials"

	"github.com/CarterTsai/tcp-shaker/client"
)

// maxFile bounds a file of certificates, a key or a token, in bytes: the roots of a whole system have a quarter of it.
const maxFile = 1 << 20

// options reads the files. Errors name the flag and the file, and tell nothing of what is in it.
func (a *access) options() ([]client.Option, error) {
	var opts []client.Option
	if a.tlsFlag() != "" {
		config, err := a.tlsConfig()
		if err != nil {
			return nil, err
		}
		opts = append(opts, client.WithTransportCredentials(credentials.NewTLS(config)))
	}
	if a.token != "" {
		content, err := readFile(a.tokenFrom, a.token)
		if err != nil {
			return nil, err
		}
		opts = append(opts, client.WithToken(dropNewline(string(content))))
	}
	return opts, nil
}

func (a *access) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{ServerName: a.serverName} // no RootCAs: the system's
	if a.ca != "" {
		content, err := readFile("--ca", a.ca)
		if err != nil {
			return nil, err
		}
		if config.RootCAs, err = parseCAs(content); err != nil {
			return nil, fmt.Errorf("--ca %s: %w", a.ca, err)
		}
	}
	if a.cert != "" {
		cert, err := readFile("--cert", a.cert)
		if err != nil {
			return nil, err
		}
		key, err := readFile("--key", a.key)
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("--cert %s, --key %s: %w", a.cert, a.key, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// parseCAs reads certificates in PEM. Other than x509.CertPool.AppendCertsFromPEM it passes over none that is broken.
func parseCAs(content []byte) (*x509.CertPool, error) {
	pool, n := x509.NewCertPool(), 0
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		n++
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", n, err)
		}
		pool.AddCert(cert)
	}
	if n == 0 {
		return nil, errors.New("no certificate in PEM")
	}
	return pool, nil
}

// readFile returns the content of the file that from, a flag or a variable, names.
func readFile(from, path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", from, err)
	case len(content) > maxFile:
		return nil, fmt.Errorf("%s %s: longer than %d bytes", from, path, maxFile)
	default:
		return content, nil
	}
}

// dropNewline drops the one that editors and echo put at the end of a file; on Windows it is two bytes.
func dropNewline(s string) string {
	line, found := strings.CutSuffix(s, "\n")
	if !found {
		return s
	}
	return strings.TrimSuffix(line, "\r")
}
