// Package testnet gives tests a network of their own: a private namespace ([Main]), and in it a device on whose far side the
// test itself answers as it likes, and sees every packet ([Peer]). It is for tests of this module alone. Nothing that it does
// leaves the machine.
package testnet
