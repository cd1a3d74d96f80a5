package main

import (
	"io/fs"
	"syscall"
	"time"
)

func fileIDOf(info fs.FileInfo) fileID {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}
	}
	return fileID{device: stat.Dev, inode: stat.Ino, changed: time.Unix(stat.Ctim.Unix())}
}
