// Package config reads shakerd's configuration file, which is YAML, into plain values, and says what is wrong with it: all of
// it, each with file, line, column and a sentence. It opens that one file and nothing else: whether certificates are there, and
// what names of listeners stand for, is for those who use them to find out. shakerd.example.yaml beside shakerd is the reference
// of all keys, and a test holds it to that.
//
// Invariants:
//
//  1. Nothing is guessed. An unknown key, a key that is there twice, a key without value, a number in the place of a text or the
//     other way round, is an error. "callers:" with nothing behind it would otherwise open a service that was meant to be closed.
//  2. A *Config has no error; whoever has errors has no *Config.
//  3. What a file costs is bounded before it is read as YAML (bytes.go) and while its values are walked (walk.go), aliases
//     followed. The schema has an end, so aliases that go round in a circle have one too.
//  4. No error repeats a token's hash: it may be the token itself, put there by mistake.
//
// The path of a file goes like this:
//
//	Load ─▶ checkBytes ─▶ rootOf ─node─▶ readMapping, by tables of fields ─Config─▶ judge, what keys say together
package config
