// Package foreign asks a running service with a client that this repository did not write: node
// with @grpc/grpc-js, which its test installs from npm. The package has only this test, behind a
// build tag, because the test needs node 18 or later, npm and a registry:
//
//	make foreign                                               about a minute
//	go test -count=1 -tags foreign -v ./server/internal/foreign
//
// The test runs the client and the service as two processes, with a tap between them:
//
//	checks.mjs ── gRPC ──▶ tap ──▶ shakerd ── SYN ──▶ open, closed and silent ports of the test
//
// The script testdata/node/checks.mjs makes the checks, and prints one line for each. The tap
// forwards bytes and reads the HTTP/2 frames among them. It shows what the script cannot see:
// whether messages were compressed, and whether pings ended a connection.
//
// To move to newer packages: change package.json, run npm install in a copy of testdata/node, and
// bring package.json and package-lock.json back. Never commit node_modules.
package foreign
