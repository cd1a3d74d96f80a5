package testnet

import (
	"encoding/binary"
	"errors"
	"net"
	"slices"

	"golang.org/x/sys/unix"
)

// SlowAnswers makes the host send at most so many packets a second, each at most 100 bytes long.
// Further ones wait in a queue of 10 MB, in order: answers of the host then come as late as from a
// machine far away. It skips the test where the kernel has no token bucket filter (tc-tbf(8)). It
// ends with the host.
func (h *Host) SlowAnswers(perSecond uint32) {
	h.t.Helper()
	err := errors.New("not run")
	h.Do(func() { err = throttle(farDevice, 100*perSecond) })
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP):
		Skip(h.t, "this kernel has no token bucket filter")
	case err != nil:
		h.t.Fatalf("slow answers: %v", err)
	}
}

// throttle puts a token bucket filter before what a device sends (linux/pkt_sched.h). Each packet
// counts as 100 bytes or more.
func throttle(device string, bytesPerSecond uint32) error {
	const (
		kind, options, parms, burst = 1, 2, 1, 6 // TCA_KIND, TCA_OPTIONS, TCA_TBF_PARMS, TCA_TBF_BURST
		ethernet, leastSize         = 1, 100     // TC_LINKLAYER_ETHERNET; mpu of tc_ratespec
		root, queue, mostAtOnce     = 0xffffffff, 10 << 20, 2000
	)
	link, err := net.InterfaceByName(device)
	if err != nil {
		return err
	}
	rate := []byte{0, ethernet, 0, 0, 0, 0}
	rate = binary.NativeEndian.AppendUint16(rate, leastSize)
	rate = append(rate, u32(bytesPerSecond)...)
	filter := slices.Concat(rate, make([]byte, 12), u32(queue), u32(0), u32(0)) // tc_tbf_qopt
	header := slices.Concat(make([]byte, 4), u32(uint32(link.Index)), u32(0), u32(root), u32(0))
	return request(unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, header,
		attribute{kind, text("tbf")},
		nested(options, attribute{parms, filter}, attribute{burst, u32(mostAtOnce)}))
}
