package config

import (
	"io"
	"os"
)

// maxBytes is the largest file that is read.
const maxBytes = 8 << 20

// Given is what the command line says in the place of keys that other keys are judged by. The zero value: nothing.
type Given struct {
	Listen   []string // nil: the file's listen counts. Else these are listened on, without TLS
	Insecure *bool    // nil: the file's insecure counts
}

// Load reads the file at path. The error is a *Faulty with all that is wrong with it, or what os says where it cannot be read. At
// most 8 MiB and a byte of it are held. Safe for concurrent use, as everything here.
func Load(path string) (*Config, error) { return Given{}.Load(path) }

// Parse reads data as Load reads a file. path is in the errors, and its directory is that of the files that data names.
func Parse(path string, data []byte) (*Config, error) { return Given{}.Parse(path, data) }

// Load is Load with a command line.
func (g Given) Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, err
	}
	return g.Parse(path, data)
}

// Parse is Parse with a command line.
func (g Given) Parse(path string, data []byte) (*Config, error) {
	c, errs := g.parse(path, data)
	if len(errs) > 0 {
		return nil, &Faulty{errs, c.Listen}
	}
	return c, nil
}

// parse returns what of data can be read, and what is wrong with it.
func (g Given) parse(path string, data []byte) (*Config, Errors) {
	r := &reader{file: path, claims: make(map[claim]owner)}
	c := &Config{Path: path, Reflection: ReflectionCallers, Audit: AuditRPCs}
	if root := r.rootOf(data); root != nil {
		r.readConfig(c, root)
		r.judge(c, g)
	}
	c.Warnings = r.warned.inOrder()
	return c, r.errs.inOrder()
}
