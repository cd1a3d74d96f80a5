package testnet

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// Counters reads the counters of the calling thread's namespace: those of /proc/net/snmp as "TcpActiveOpens" and the like, those
// of /proc/net/netstat as "TcpExtEmbryonicRsts" and the like.
func Counters(t testing.TB) map[string]int {
	t.Helper()
	counters := map[string]int{}
	for _, path := range []string{"/proc/thread-self/net/snmp", "/proc/thread-self/net/netstat"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if names == nil || names[0] != fields[0] {
				names = fields
				continue
			}
			for i, name := range names[1:] {
				value, err := strconv.Atoi(fields[i+1])
				if err != nil {
					t.Fatal(err)
				}
				counters[strings.TrimSuffix(names[0], ":")+name] = value
			}
			names = nil
		}
	}
	return counters
}
