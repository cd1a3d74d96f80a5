package errno

import (
	"syscall"
	"testing"
)

func TestName(t *testing.T) {
	for e, want := range map[syscall.Errno]string{
		0: "", syscall.ECONNREFUSED: "ECONNREFUSED", syscall.EADDRNOTAVAIL: "EADDRNOTAVAIL", 9999: "errno 9999",
	} {
		if got := Name(e); got != want {
			t.Errorf("%d: %q, want %q", e, got, want)
		}
	}
	for e, name := range names {
		if len(name) > MaxName || Name(e) != name {
			t.Errorf("%d: %q", e, name)
		}
	}
	if got := Name(^syscall.Errno(0)); len(got) > MaxName {
		t.Errorf("%q is longer than %d", got, MaxName)
	}
}
