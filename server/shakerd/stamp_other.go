//go:build !linux

package main

import "io/fs"

// fileIDOf says nothing: elsewhere than on Linux there is no engine, and so no service that could
// load a file again.
func fileIDOf(fs.FileInfo) fileID { return fileID{} }
