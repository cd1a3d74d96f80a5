// Package testnet gives tests a network of their own, without privilege, in a private namespace ([Main]):
//
//	Peer      the far side of a tun device, where the test itself answers as it likes and sees every packet
//	Host      another machine: a second namespace behind a veth pair, with a kernel that answers, counts and routes
//	Firewall  rules of nf_tables, in either namespace
//	Tap       what passes a device, each segment once; it fails the test if it has lost one
//	Listener  sockets to knock at: open, closed, silent
//
// It is for tests of this module alone. Nothing that it does leaves the machine.
package testnet
