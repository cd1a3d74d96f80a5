package testnet

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ring is a TPACKET_V3 receive ring of packet(7), shared with the kernel: blocks of packets, which the kernel hands over one
// after the other when they are full or old, and takes back when they are read.
type ring struct {
	memory []byte
	block  int // size of one
	next   int // where the one begins that the kernel hands over next
}

// Blocks are small, because an old one is handed over however few packets it holds, and many, because a reader that gets no
// processor for a second must not lose any: a segment takes about 220 bytes.
const (
	blockSize, blockCount = 1 << 16, 1 << 10
	blockAge              = 2 // ms
)

// newRing gives a packet socket a ring of as many blocks of so many bytes.
func newRing(fd, block, count int) (*ring, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return nil, os.NewSyscallError("setsockopt PACKET_VERSION", err)
	}
	const frame = 1 << 9 // packets are of any length; the kernel only wants the numbers to agree
	request := unix.TpacketReq3{
		Block_size: uint32(block), Block_nr: uint32(count), Frame_size: frame, Frame_nr: uint32(block / frame * count),
		Retire_blk_tov: blockAge,
	}
	if err := unix.SetsockoptTpacketReq3(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &request); err != nil {
		return nil, os.NewSyscallError("setsockopt PACKET_RX_RING", err)
	}
	memory, err := unix.Mmap(fd, 0, block*count, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	return &ring{memory: memory, block: block}, nil
}

func (r *ring) close() error { return os.NewSyscallError("munmap", unix.Munmap(r.memory)) }

// Where the fields of struct tpacket_block_desc, tpacket3_hdr and sockaddr_ll are (linux/if_packet.h).
const (
	blockStatus, blockPackets, blockFirst = 8, 12, 16
	packetNext, packetSec, packetNsec     = 0, 4, 8
	packetSnaplen, packetMac              = 12, 24
	packetProtocol                        = 48 + 2 // in the sockaddr_ll behind the header
)

// read calls see for each packet of all the blocks that the kernel has handed over, with its EtherType and when the kernel gave it
// to the tap (tpacket_rcv, net/packet/af_packet.c).
func (r *ring) read(see func(protocol uint16, at time.Time, packet []byte)) {
	for {
		block := r.memory[r.next : r.next+r.block]
		status := (*uint32)(unsafe.Pointer(&block[blockStatus]))
		if atomic.LoadUint32(status)&unix.TP_STATUS_USER == 0 {
			return
		}
		packet := block[binary.NativeEndian.Uint32(block[blockFirst:]):]
		for range binary.NativeEndian.Uint32(block[blockPackets:]) {
			from := int(binary.NativeEndian.Uint16(packet[packetMac:]))
			to := from + int(binary.NativeEndian.Uint32(packet[packetSnaplen:]))
			at := time.Unix(int64(binary.NativeEndian.Uint32(packet[packetSec:])), int64(binary.NativeEndian.Uint32(packet[packetNsec:])))
			see(binary.BigEndian.Uint16(packet[packetProtocol:]), at, packet[from:to])
			packet = packet[binary.NativeEndian.Uint32(packet[packetNext:]):]
		}
		atomic.StoreUint32(status, unix.TP_STATUS_KERNEL)
		r.next = (r.next + r.block) % len(r.memory)
	}
}

// packetSocket opens a socket of packet(7) that takes in what the filter lets through, and nothing before it is bound. It
// does not show the link layer: packets begin with their IP header, on every device.
func packetSocket(filter []unix.SockFilter) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("filter: %w", os.NewSyscallError("setsockopt SO_ATTACH_FILTER", err))
	}
	return fd, nil
}

// bindPacket lets a packet socket see what a device sends and receives: all of it, or one EtherType and then incoming only.
func bindPacket(fd, device int, protocol uint16) error {
	return os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(protocol), Ifindex: device}))
}

func htons(v uint16) uint16 { return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v)) }
