package testnet

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// Hook is where a firewall looks at a packet.
type Hook uint32

// The hooks, as in linux/netfilter.h.
const (
	Input   Hook = unix.NF_INET_LOCAL_IN
	Forward Hook = unix.NF_INET_FORWARD
	Output  Hook = unix.NF_INET_LOCAL_OUT
)

// Judgment is what becomes of a packet.
type Judgment struct {
	kind byte
	code byte
}

// What a firewall does with packets that nobody is to have: drops them without a word, or rejects them with an RST.
var (
	Drop      = Judgment{kind: dropIt}
	RejectRST = Judgment{kind: rejectRST}
)

// nfDrop is NF_DROP of linux/netfilter.h.
const nfDrop = 0

const dropIt, rejectICMP, rejectRST = 0, 1, 2

// Reject rejects with "destination unreachable" of a code: ICMP 3, or ICMPv6 1. One of [Output] comes to the sender while
// connect(2) is still inside the kernel.
func Reject(code byte) Judgment { return Judgment{rejectICMP, code} }

// Rule judges the TCP segments to an address, and if Port is not 0 those to that port alone.
type Rule struct {
	Hook Hook
	To   netip.Addr
	Port uint16
	Do   Judgment
}

var firewalls atomic.Uint32

// Firewall adds rules to the calling thread's namespace, until the test ends. It speaks to nf_tables itself (linux/netfilter/nf_tables.h):
// there is a library that does, but test code alone is no reason to put it, and four that it needs, into the module graph of all who import
// this module.
func Firewall(t testing.TB, rules ...Rule) {
	t.Helper()
	Private(t)
	fd, err := openNetlink(unix.NETLINK_NETFILTER)
	if err != nil {
		t.Fatal(err)
	}
	table := attribute{unix.NFTA_TABLE_NAME, text(fmt.Sprintf("testnet%d", firewalls.Add(1)))}
	messages := []message{tables(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, table)}
	for name, hook := range chains {
		messages = append(messages, tables(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE|unix.NLM_F_EXCL,
			attribute{unix.NFTA_CHAIN_TABLE, table.value},
			attribute{unix.NFTA_CHAIN_NAME, text(name)},
			nested(unix.NFTA_CHAIN_HOOK,
				attribute{unix.NFTA_HOOK_HOOKNUM, be32(uint32(hook))},
				attribute{unix.NFTA_HOOK_PRIORITY, be32(0)}),
			attribute{unix.NFTA_CHAIN_TYPE, text("filter")}))
	}
	for _, r := range rules {
		messages = append(messages, tables(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND,
			attribute{unix.NFTA_RULE_TABLE, table.value},
			attribute{unix.NFTA_RULE_CHAIN, text(r.Hook.chain())},
			nested(unix.NFTA_RULE_EXPRESSIONS, r.expressions()...)))
	}
	if err := exchange(fd, batch(messages)...); err != nil {
		unix.Close(fd)
		t.Fatalf("firewall: %v", err)
	}
	t.Cleanup(func() {
		defer unix.Close(fd) // that of the namespace in which it was opened
		if err := exchange(fd, batch([]message{tables(unix.NFT_MSG_DELTABLE, 0, table)})...); err != nil {
			t.Errorf("firewall: %v", err)
		}
	})
}

var chains = map[string]Hook{"input": Input, "forward": Forward, "output": Output}

func (h Hook) chain() string {
	for name, hook := range chains {
		if hook == h {
			return name
		}
	}
	return ""
}

func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

func be16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }

// tables is a message to nf_tables about the families of IP together.
func tables(kind, flags uint16, attributes ...attribute) message {
	return message{unix.NFNL_SUBSYS_NFTABLES<<8 | kind, flags, []byte{unix.NFPROTO_INET, 0, 0, 0}, attributes}
}

// batch makes messages take effect together. The last of them is acknowledged.
func batch(messages []message) []message {
	header := append([]byte{unix.AF_UNSPEC, 0}, be16(unix.NFNL_SUBSYS_NFTABLES)...)
	messages[len(messages)-1].flags |= unix.NLM_F_ACK
	all := append([]message{{unix.NFNL_MSG_BATCH_BEGIN, 0, header, nil}}, messages...)
	return append(all, message{unix.NFNL_MSG_BATCH_END, 0, header, nil})
}

// expressions are the rule: load something into a register, compare it, and if all are equal, judge.
func (r Rule) expressions() []attribute {
	protocol, offset := byte(unix.NFPROTO_IPV4), uint32(16) // of the destination in the header of IPv4
	if r.To.Is6() {
		protocol, offset = unix.NFPROTO_IPV6, 24
	}
	all := []attribute{
		meta(unix.NFT_META_NFPROTO), equal([]byte{protocol}),
		meta(unix.NFT_META_L4PROTO), equal([]byte{unix.IPPROTO_TCP}),
		payload(unix.NFT_PAYLOAD_NETWORK_HEADER, offset, r.To.BitLen()/8), equal(r.To.AsSlice()),
	}
	if r.Port != 0 {
		all = append(all, payload(unix.NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2), equal(be16(r.Port)))
	}
	switch r.Do.kind {
	case rejectICMP:
		return append(all, expression("reject",
			attribute{unix.NFTA_REJECT_TYPE, be32(unix.NFT_REJECT_ICMP_UNREACH)},
			attribute{unix.NFTA_REJECT_ICMP_CODE, []byte{r.Do.code}}))
	case rejectRST:
		return append(all, expression("reject",
			attribute{unix.NFTA_REJECT_TYPE, be32(unix.NFT_REJECT_TCP_RST)}, attribute{unix.NFTA_REJECT_ICMP_CODE, []byte{0}}))
	default:
		return append(all, expression("immediate",
			attribute{unix.NFTA_IMMEDIATE_DREG, be32(unix.NFT_REG_VERDICT)},
			nested(unix.NFTA_IMMEDIATE_DATA, nested(unix.NFTA_DATA_VERDICT, attribute{unix.NFTA_VERDICT_CODE, be32(nfDrop)}))))
	}
}

func expression(name string, data ...attribute) attribute {
	return nested(unix.NFTA_LIST_ELEM, attribute{unix.NFTA_EXPR_NAME, text(name)}, nested(unix.NFTA_EXPR_DATA, data...))
}

// register is the one that all of them use.
const register = unix.NFT_REG_1

func meta(key uint32) attribute {
	return expression("meta", attribute{unix.NFTA_META_DREG, be32(register)}, attribute{unix.NFTA_META_KEY, be32(key)})
}

func payload(base, offset uint32, length int) attribute {
	return expression("payload",
		attribute{unix.NFTA_PAYLOAD_DREG, be32(register)}, attribute{unix.NFTA_PAYLOAD_BASE, be32(base)},
		attribute{unix.NFTA_PAYLOAD_OFFSET, be32(offset)}, attribute{unix.NFTA_PAYLOAD_LEN, be32(uint32(length))})
}

func equal(value []byte) attribute {
	return expression("cmp",
		attribute{unix.NFTA_CMP_SREG, be32(register)}, attribute{unix.NFTA_CMP_OP, be32(unix.NFT_CMP_EQ)},
		nested(unix.NFTA_CMP_DATA, attribute{unix.NFTA_DATA_VALUE, value}))
}
