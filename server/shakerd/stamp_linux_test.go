package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// kept is a file with a time that a change puts back.
type kept struct {
	t    *testing.T
	path string
	old  time.Time
}

func (k kept) write(path, text string) {
	k.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
	if err := os.Chtimes(path, k.old, k.old); err != nil { // touch -r
		k.t.Fatal(err)
	}
}

func (k kept) do(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

// tick returns once a change of a file has another time than those of files have had. The kernel's
// clock for them can stand still for 10 ms.
func tick(t *testing.T, files ...string) {
	t.Helper()
	probe := filepath.Join(t.TempDir(), "probe")
	changed := func(file string) time.Time {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		return fileIDOf(info).changed
	}
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if err := os.WriteFile(probe, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		now := changed(probe)
		if !slices.ContainsFunc(files, func(file string) bool { return !now.After(changed(file)) }) {
			return
		}
	}
	t.Fatal("the clock of files stands still")
}

// TestChangeWithTheSameTimeAndSize: whatever way a watched file changes, the next looks find it,
// though its modification time and its size are what they were. A file that nobody touches is not
// loaded again.
func TestChangeWithTheSameTimeAndSize(t *testing.T) {
	for name, change := range map[string]func(k kept){
		"in place, and touch -r": func(k kept) { k.write(k.path, "new") },
		"another file renamed over it": func(k kept) {
			k.write(k.path+".other", "new")
			k.do(os.Rename(k.path+".other", k.path))
		},
		"an older file of the directory renamed over it": func(k kept) {
			k.do(os.Rename(filepath.Join(filepath.Dir(k.path), "older"), k.path))
		},
		"a link that leads elsewhere": func(k kept) {
			k.do(os.Symlink(filepath.Join(filepath.Dir(k.path), "older"), k.path+".link"))
			k.do(os.Rename(k.path+".link", k.path))
		},
	} {
		for _, file := range []string{"config", "cert", "key", "ca", "crl"} {
			t.Run(name+", "+file, func(t *testing.T) {
				dir := t.TempDir()
				old := time.Now().Add(-time.Hour)
				var files []string
				for _, one := range []string{"config", "cert", "key", "ca", "crl"} {
					files = append(files, filepath.Join(dir, one))
					kept{t, "", old}.write(filepath.Join(dir, one), "old")
				}
				k := kept{t, filepath.Join(dir, file), old}
				k.write(filepath.Join(dir, "older"), "new")
				if got := loads(t, files, func() { change(k) }); got != 1 {
					t.Errorf("%d loads, want 1", got)
				}
			})
		}
	}
}

// TestKubernetesSwap: of a volume of Kubernetes the files are links into ..data, which is a link
// that is renamed over. Both versions may have one time and size.
func TestKubernetesSwap(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-time.Hour)
	k := kept{t, "", old}
	for _, version := range []string{"..2026_01", "..2026_02"} {
		k.do(os.Mkdir(filepath.Join(dir, version), 0o700))
		for _, file := range []string{"tls.crt", "tls.key"} {
			k.write(filepath.Join(dir, version, file), version)
		}
	}
	k.do(os.Symlink("..2026_01", filepath.Join(dir, "..data")))
	var files []string
	for _, file := range []string{"tls.crt", "tls.key"} {
		files = append(files, filepath.Join(dir, file))
		k.do(os.Symlink(filepath.Join("..data", file), filepath.Join(dir, file)))
	}
	if got := loads(t, files, func() {
		k.do(os.Symlink("..2026_02", filepath.Join(dir, "..data_tmp")))
		k.do(os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}); got != 1 {
		t.Errorf("%d loads, want 1", got)
	}
}

// TestChangeWhileRead: a load during which a file changes, its time put back, does not count: the
// next look loads again.
func TestChangeWhileRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c")
	k := kept{t, file, time.Now().Add(-time.Hour)}
	k.write(file, "old")
	r, got := reloaderOf([]string{file}, func(n int) {
		if n == 1 {
			tick(t, file)
			k.write(file, "new")
		}
	})
	tick(t, file)
	k.write(file, "mid")
	r.look(t.Context())
	r.look(t.Context())
	if *got != 1 || !r.Stats().Stale {
		t.Fatalf("%d loads, %+v; want one that does not count", *got, r.Stats())
	}
	r.look(t.Context())
	r.look(t.Context())
	if *got != 2 || r.Stats().Stale {
		t.Errorf("%d loads, %+v; want one more, which counts", *got, r.Stats())
	}
}

// TestSettles: a file whose time was put back, and that has changed since the last look, may be
// half-way: it waits for the next.
func TestSettles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c")
	k := kept{t, file, time.Now().Add(-time.Hour)}
	k.write(file, "old")
	r, got := reloaderOf([]string{file}, func(int) {})
	tick(t, file)
	k.write(file, "new")
	r.look(t.Context())
	if *got != 0 {
		t.Error("loaded at the first look")
	}
	r.look(t.Context())
	if *got != 1 {
		t.Errorf("%d loads at the second look, want 1", *got)
	}
}

// loads returns how often files are loaded in the looks after change, none having been loaded
// before it.
func loads(t *testing.T, files []string, change func()) int {
	t.Helper()
	r, got := reloaderOf(files, func(int) {})
	for range 3 {
		r.look(t.Context())
	}
	if *got != 0 {
		t.Fatalf("%d loads without a change", *got)
	}
	tick(t, files...)
	change()
	for range 4 {
		r.look(t.Context())
	}
	return *got
}

// reloaderOf returns a reloader of files that are in force, and how often it has loaded them.
// during is called with that number while they are read.
func reloaderOf(files []string, during func(int)) (*reloader, *int) {
	got := new(int)
	load := func() (*settings, error) {
		stamps := stampsOf(files)
		*got++
		during(*got)
		return &settings{options: &options{}, files: files, stamps: stamps}, nil
	}
	first := &settings{options: &options{}, files: files, stamps: stampsOf(files)}
	return newReloader(first, load, func(*settings) error { return nil }, slog.New(slog.DiscardHandler)), got
}
