package identity

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// readFile reads a file of which the errors say, as one sentence, what it is for, where it is and what is wrong.
func readFile(what, path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		if pathError, ok := errors.AsType[*fs.PathError](err); ok {
			err = pathError.Err // the message has the path already
		}
		return nil, fileError(what, path, err)
	}
	return data, nil
}

func fileError(what, path string, err error) error { return fmt.Errorf("%s %s: %w", what, path, err) }

// pemBlocks returns the contents of the PEM blocks of a type in data. A block that is damaged or cut off is an error, where
// pem.Decode passes it over: half a file that somebody is still writing must not count as a shorter one.
func pemBlocks(data []byte, blockType string) ([][]byte, error) {
	var contents [][]byte
	all := 0
	for rest := data; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		all++
		if block.Type == blockType {
			contents = append(contents, block.Bytes)
		}
	}
	if begun := bytes.Count(data, []byte("-----BEGIN ")); begun != all {
		return nil, fmt.Errorf("%d of its %d PEM blocks are damaged or cut off", begun-all, begun)
	}
	if len(contents) == 0 {
		return nil, fmt.Errorf("holds no PEM block %q", blockType)
	}
	return contents, nil
}

// readCertificates reads a PEM file of certificates, at least one.
func readCertificates(what, path string) (data []byte, certs []*x509.Certificate, err error) {
	if data, err = readFile(what, path); err != nil {
		return nil, nil, err
	}
	blocks, err := pemBlocks(data, "CERTIFICATE")
	if err != nil {
		return nil, nil, fileError(what, path, err)
	}
	for i, der := range blocks {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, nil, fileError(what, path, fmt.Errorf("certificate %d: %w", i+1, err))
		}
		certs = append(certs, cert)
	}
	return data, certs, nil
}

// readKey reads a PEM file with a private key that is not encrypted.
func readKey(what, path string) ([]byte, error) {
	data, err := readFile(what, path)
	if err != nil {
		return nil, err
	}
	for rest := data; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		switch {
		case block == nil:
			return nil, fileError(what, path, errors.New("holds no PEM block of a private key"))
		case block.Type == "ENCRYPTED PRIVATE KEY", strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return nil, fileError(what, path, errors.New("the private key is encrypted, and nobody is there to give a pass phrase"))
		case block.Type == "PRIVATE KEY", strings.HasSuffix(block.Type, " PRIVATE KEY"):
			return data, nil
		}
	}
}
