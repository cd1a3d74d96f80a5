package config

import "testing"

// TestClashes: two listeners clash where the kernel would refuse the second of them.
func TestClashes(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{":7", "127.0.0.1:7", true},
		{":7", "[::1]:7", true},
		{":7", "[::]:7", true},
		{":7", "0.0.0.0:7", true},
		{":7", "some.example:7", true},
		{"[::]:7", "127.0.0.1:7", true},
		{"[::]:7", "0.0.0.0:7", true},
		{"[::]:7", "some.example:7", true},
		{"0.0.0.0:7", "127.0.0.1:7", true},
		{"0.0.0.0:7", "[::ffff:127.0.0.1]:7", true},
		{"0.0.0.0:7", "[::1]:7", false},
		{"0.0.0.0:7", "some.example:7", false}, // which may have IPv6 addresses alone
		{"some.example:7", "Some.Example:7", true},
		{"some.example:7", "other.example:7", false},
		{"127.0.0.1:7", "127.0.0.1:8", false},
		{"127.0.0.1:0", "127.0.0.1:0", false},
		{":0", ":0", false},
		{"127.0.0.1:7", "127.0.0.2:7", false},
		{"127.0.0.1:7", "some.example:7", false},
		{"unix:/a", "unix:/a", true},
		{"unix:/a", "unix:/b", false},
		{"unix:/a", ":7", false},
	} {
		a, err := ParseAddress(tt.a)
		if err != nil {
			t.Fatal(err)
		}
		b, err := ParseAddress(tt.b)
		if err != nil {
			t.Fatal(err)
		}
		if a.clashes(b) != tt.want || b.clashes(a) != tt.want {
			t.Errorf("%s and %s: %t and %t, want %t", tt.a, tt.b, a.clashes(b), b.clashes(a), tt.want)
		}
	}
}
