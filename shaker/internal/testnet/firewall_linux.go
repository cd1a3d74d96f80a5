package testnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Hook is where on its way a packet meets a firewall.
type Hook uint32

// The hooks, as iptables(8) calls them.
const (
	Input   Hook = unix.NF_INET_LOCAL_IN  // for this kernel
	Forward Hook = unix.NF_INET_FORWARD   // routed by it
	Output  Hook = unix.NF_INET_LOCAL_OUT // from it; an answer comes while connect(2) still owns the socket
)

// Verdict is what a firewall does with a segment: [Drop], [RejectRST], or [Reject].
type Verdict uint16

const (
	Drop      Verdict = iota << 8 // says nothing to anybody
	RejectRST                     // answers with an RST
	rejectICMP
)

// Reject answers with an ICMP or ICMPv6 "destination unreachable" of a code, any. A kernel limits the errors of its IPv4 Output
// to icmp_msgs_per_sec, 50 at once, unless the [Sysctl] net/ipv4/icmp_ratemask is 0; on a [Host] it is.
func Reject(code byte) Verdict { return rejectICMP | Verdict(code) }

// Rule tells the fate of TCP segments to an address, and to a port of it, or to all where that is 0.
type Rule struct {
	Hook    Hook
	To      netip.Addr
	Port    uint16
	Verdict Verdict
}

// Firewall puts rules before the traffic of the calling thread's namespace, until the test ends. There can be several.
func Firewall(t testing.TB, rules ...Rule) {
	t.Helper()
	install(t, "firewall", func(table string) []message { return newTable(table, rules) })
}

// Forbid is Firewall until the caller calls undo.
func Forbid(rules ...Rule) (undo func() error, err error) {
	return addTable(func(table string) []message { return newTable(table, rules) })
}

// install makes a table of nftables in the calling thread's namespace, until the test ends. The messages must make the table first.
func install(t testing.TB, what string, messages func(table string) []message) {
	t.Helper()
	Private(t)
	undo, err := addTable(messages)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	t.Cleanup(func() {
		if err := undo(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	})
}

// addTable is install until the caller calls undo.
func addTable(messages func(table string) []message) (undo func() error, err error) {
	fd, err := openNetlink(unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, err
	}
	table := fmt.Sprintf("testnet%d", fd) // which is nobody else's while it is open
	if err := nftables(fd, messages(table)...); err != nil {
		unix.Close(fd)
		return nil, err
	}
	// The socket stays one of the namespace where it was opened, which therefore stays too.
	return func() error {
		err := nftables(fd, nftMessage(unix.NFT_MSG_DELTABLE, 0, attribute{unix.NFTA_TABLE_NAME, text(table)}))
		return errors.Join(err, os.NewSyscallError("close", unix.Close(fd)))
	}, nil
}

// newTable makes a table of both families with a base chain on each hook in use.
func newTable(table string, rules []Rule) []message {
	messages := []message{nftTable(table)}
	chains := map[Hook]bool{}
	for _, r := range rules {
		chain := fmt.Sprintf("hook%d", r.Hook)
		if !chains[r.Hook] {
			chains[r.Hook] = true
			messages = append(messages, nftChain(table, chain, "filter", uint32(r.Hook), 0))
		}
		messages = append(messages, nftRule(table, chain, r.expressions()...))
	}
	return messages
}

func nftTable(table string) message {
	return nftMessage(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, attribute{unix.NFTA_TABLE_NAME, text(table)})
}

// nftChain makes a base chain.
func nftChain(table, chain, kind string, hook uint32, priority int32) message {
	return nftMessage(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE,
		attribute{unix.NFTA_CHAIN_TABLE, text(table)},
		attribute{unix.NFTA_CHAIN_NAME, text(chain)},
		nested(unix.NFTA_CHAIN_HOOK,
			attribute{unix.NFTA_HOOK_HOOKNUM, be32(hook)},
			attribute{unix.NFTA_HOOK_PRIORITY, be32(uint32(priority))}),
		attribute{unix.NFTA_CHAIN_TYPE, text(kind)})
}

func nftRule(table, chain string, expressions ...attribute) message {
	return nftMessage(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND,
		attribute{unix.NFTA_RULE_TABLE, text(table)},
		attribute{unix.NFTA_RULE_CHAIN, text(chain)},
		nested(unix.NFTA_RULE_EXPRESSIONS, expressions...))
}

// expressions are those that nft(8) makes of "meta nfproto … meta l4proto tcp ip daddr … tcp dport …" and a verdict.
func (r Rule) expressions() []attribute {
	e := tcpTo(r.To)
	if r.Port != 0 {
		e = append(e, payload(unix.NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2), equal(binary.BigEndian.AppendUint16(nil, r.Port)))
	}
	return append(e, r.Verdict.expression())
}

// tcpTo goes on only with TCP segments to an address.
func tcpTo(ip netip.Addr) []attribute {
	family, offset := byte(unix.NFPROTO_IPV4), uint32(16)
	if ip.Is6() {
		family, offset = unix.NFPROTO_IPV6, 24
	}
	var e []attribute
	e = append(e, meta(unix.NFT_META_NFPROTO), equal([]byte{family}))
	e = append(e, meta(unix.NFT_META_L4PROTO), equal([]byte{unix.IPPROTO_TCP}))
	return append(e, payload(unix.NFT_PAYLOAD_NETWORK_HEADER, offset, uint32(ip.BitLen()/8)), equal(ip.AsSlice()))
}

func (v Verdict) expression() attribute {
	reject := func(kind uint32) attribute {
		return expression("reject",
			attribute{unix.NFTA_REJECT_TYPE, be32(kind)}, attribute{unix.NFTA_REJECT_ICMP_CODE, []byte{byte(v)}})
	}
	switch v &^ 0xff {
	case RejectRST:
		return reject(unix.NFT_REJECT_TCP_RST)
	case rejectICMP:
		return reject(unix.NFT_REJECT_ICMP_UNREACH)
	}
	const drop = 0 // NF_DROP, linux/netfilter.h
	return expression("immediate",
		attribute{unix.NFTA_IMMEDIATE_DREG, be32(unix.NFT_REG_VERDICT)},
		nested(unix.NFTA_IMMEDIATE_DATA, nested(unix.NFTA_DATA_VERDICT, attribute{unix.NFTA_VERDICT_CODE, be32(drop)})))
}

// meta and payload load something of the packet into the first register, and equal goes on only where that is a value.
func meta(key uint32) attribute {
	return expression("meta", attribute{unix.NFTA_META_KEY, be32(key)}, attribute{unix.NFTA_META_DREG, be32(unix.NFT_REG_1)})
}

func payload(base, offset, length uint32) attribute {
	return expression("payload",
		attribute{unix.NFTA_PAYLOAD_DREG, be32(unix.NFT_REG_1)}, attribute{unix.NFTA_PAYLOAD_BASE, be32(base)},
		attribute{unix.NFTA_PAYLOAD_OFFSET, be32(offset)}, attribute{unix.NFTA_PAYLOAD_LEN, be32(length)})
}

func equal(value []byte) attribute {
	return expression("cmp",
		attribute{unix.NFTA_CMP_SREG, be32(unix.NFT_REG_1)}, attribute{unix.NFTA_CMP_OP, be32(unix.NFT_CMP_EQ)},
		nested(unix.NFTA_CMP_DATA, attribute{unix.NFTA_DATA_VALUE, value}))
}

func expression(name string, data ...attribute) attribute {
	return nested(unix.NFTA_LIST_ELEM, attribute{unix.NFTA_EXPR_NAME, text(name)}, nested(unix.NFTA_EXPR_DATA, data...))
}

// be32 is a number as nftables has it.
func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// nftMessage is one about tables of both IP versions.
func nftMessage(kind, flags uint16, attributes ...attribute) message {
	return message{unix.NFNL_SUBSYS_NFTABLES<<8 | kind, flags, []byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0}, attributes}
}

// nftables does all that the messages say, or nothing: they are a batch (nfnetlink_rcv_batch, net/netfilter/nfnetlink.c).
func nftables(fd int, messages ...message) error {
	messages[len(messages)-1].flags |= unix.NLM_F_ACK
	header := []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, unix.NFNL_SUBSYS_NFTABLES}
	all := append([]message{{kind: unix.NFNL_MSG_BATCH_BEGIN, header: header}}, messages...)
	return exchange(fd, append(all, message{kind: unix.NFNL_MSG_BATCH_END, header: header})...)
}
