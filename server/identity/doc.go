// Package identity says who is at the other end of a connection or an RPC: by a bearer token, by a client certificate, or by the
// user that the kernel names on a unix socket.
//
// A [Gate] stands between the listeners and gRPC. Its Wrap tags what is accepted, its Credentials shake hands with TLS or
// without, and each RPC asks the [State] in force who its caller is:
//
//	net.Listener ─▶ Gate.Wrap ─▶ Gate.Credentials ─▶ *Conn ─▶ State.Identify(conn, authorization, now) ─▶ Identity
//
// Invariants, each with its test:
//
//  1. A State never changes, and the Gate's can be replaced at any time. A connection outlives States: nothing that was found
//     out under one of them counts under the next (TestStandingConnectionIsJudgedByTheStateInForce).
//  2. A listener that had TLS once never falls back to plaintext (TestNeverFallsBackToPlaintext).
//  3. A credential that is given decides. One that is wrong is never passed over for a weaker one (TestTheCredentialGivenDecides).
//  4. What a caller is told does not depend on what is wrong with the credential; what the log is told holds no
//     token and no hash (TestErrorsGiveNothingAway, TestToken).
//  5. A token is compared with all hashes, whichever it is (TestTokenIsComparedWithAllHashes).
package identity
