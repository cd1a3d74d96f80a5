package shaker

import (
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// readTCPMemory reads net.ipv4.tcp_mem. It is the whole machine's, and so only there in the machine's first network namespace
// (ipv4_table and not ipv4_net_table, net/ipv4/sysctl_net_ipv4.c), as in containers it mostly is not.
func readTCPMemory() tcpMemory {
	if text, err := os.ReadFile("/proc/sys/net/ipv4/tcp_mem"); err == nil {
		if pressure, ok := parseTCPMem(string(text)); ok {
			return tcpMemory{pressure: pressure}
		}
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return tcpMemory{pressure: math.MaxUint64, derived: true} // sysinfo(2) has no error but EFAULT
	}
	low := uint64(info.Totalram-info.Totalhigh) * uint64(info.Unit)
	return tcpMemory{pressure: derivedTCPMem(low / uint64(os.Getpagesize())), derived: true}
}
