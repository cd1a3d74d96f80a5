package main

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"time"
)

// stamps tell whether files have changed, by what stat(2) says of each. Modification time and size
// alone would not do: touch -r, cp -p and unpacking an archive put old times back, and one
// certificate has the size of another.
type stamps map[string]stamp

type stamp struct {
	modified time.Time
	size     int64
	missing  bool
	id       fileID // of what a link leads to
}

// fileID is what a file has that its writer cannot choose. It is the zero value where the system
// does not say.
type fileID struct {
	device, inode uint64
	changed       time.Time // the last change of content, name, links, owner, mode or times
}

func stampsOf(files []string) stamps {
	s := make(stamps, len(files))
	for _, file := range files {
		info, err := os.Stat(file) // of what a link leads to
		switch {
		case err == nil:
			s[file] = stamp{modified: info.ModTime(), size: info.Size(), id: fileIDOf(info)}
		case errors.Is(err, fs.ErrNotExist):
			s[file] = stamp{missing: true}
		default:
			s[file] = stamp{size: -1}
		}
	}
	return s
}

func (s stamps) equal(other stamps) bool {
	return maps.EqualFunc(s, other, func(a, b stamp) bool {
		x, y := a.id, b.id
		return a.modified.Equal(b.modified) && a.size == b.size && a.missing == b.missing &&
			x.device == y.device && x.inode == y.inode && x.changed.Equal(y.changed)
	})
}

// youngerThan reports whether a file was changed after t, by its modification time or that of its
// change.
func (s stamps) youngerThan(t time.Time) bool {
	for _, one := range s {
		if one.modified.After(t) || one.id.changed.After(t) {
			return true
		}
	}
	return false
}
