// Package policy says which addresses and names may be probed. Two things are judged by: the never-list, which holds what is
// never probed, whoever asks, because a probe there would be an attack on the service's own surroundings, or no probe at all
// (Policy); and a caller's own rules (Rules), which ParseRule reads and Compile makes into tables.
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
//  5. A deny rule wins over every allow rule, and what no rule of a caller allows is denied. Rules have no order.
//  6. A wide rule opens nothing of the never-list: only one that lies within an entry names it (judge.go).
//  7. A name opens the addresses that anybody could reach, and no other (reachable.go): whoever owns a name can point it to
//     this host or into this network at any time, so these need an address rule besides.
package policy
