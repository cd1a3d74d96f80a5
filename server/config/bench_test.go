package config

import (
	"fmt"
	"strings"
	"testing"
)

// rulesFile is the file of one caller with n rules of each kind.
func rulesFile(n int) []byte {
	var b strings.Builder
	b.WriteString("callers:\n  - name: edge\n    identity: {token_sha256: [" + token + "]}\n    allow:\n")
	for i := range n {
		switch i % 3 {
		case 0:
			fmt.Fprintf(&b, "      - \"10.%d.%d.%d:443,8000-8999\"\n", i>>16, i>>8&255, i&255)
		case 1:
			fmt.Fprintf(&b, "      - \"2001:db8:%x::/48:*\"\n", i&0xffff)
		default:
			fmt.Fprintf(&b, "      - \"*.n%d.corp.example:1-1023\"\n", i)
		}
	}
	return []byte(b.String())
}

// BenchmarkParse reads a whole file from memory; ns/op is all of it.
func BenchmarkParse(b *testing.B) {
	for _, n := range []int{10, 1_000, 100_000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			data := rulesFile(n)
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := Parse("f", data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
