package config

import (
	"path/filepath"
	"slices"
)

// Files returns what a reload must watch: the configuration itself first, then the files that it names, each once.
func (c *Config) Files() []string {
	files := []string{c.Path}
	for _, l := range c.Listen {
		if l.TLS == nil {
			continue
		}
		for _, file := range []string{l.TLS.Cert, l.TLS.Key, l.TLS.ClientCA, l.TLS.ClientCRL} {
			if file != "" && !slices.Contains(files, file) {
				files = append(files, file)
			}
		}
	}
	return files
}

// besideFile returns path as the configuration means it: relative to its own directory.
func (r *reader) besideFile(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(r.file), path)
}
