// Package policy says which addresses are never probed, whoever asks: those where a probe would be an attack on the
// service's own surroundings, or no probe at all.
//
// Invariants:
//
//  1. An address is denied if any IPv4 that it carries inside is (embedded.go). A translator or a tunnel on the way would
//     make that IPv4 of it.
//  2. A zone changes nothing: an address is judged as if it had none.
//  3. An exception covers what it names and no more: an address that is denied for two reasons, by itself and by what it
//     carries, needs two exceptions.
//  4. No judgement rests on a reading of the interfaces that is older than ownMaxAge, except where they cannot be read
//     (own.go).
package policy
