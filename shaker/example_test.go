//go:build linux

package shaker_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/netip"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker"
)

func Example() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()

	e, err := shaker.New(shaker.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()

	addr := netip.MustParseAddrPort(listener.Addr().String())
	r, err := e.Check(context.Background(), addr, time.Second)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Outcome, r.Silence)
	// Output: open proven
}

func ExampleEngine_Submit() {
	e, err := shaker.New(shaker.Config{Rate: 10_000})
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	batch, err := e.Submit(ctx, []shaker.Probe{
		{ID: 1, Addr: netip.MustParseAddrPort("127.0.0.1:1")},
		{ID: 2, Addr: netip.MustParseAddrPort("[::ffff:127.0.0.1]:2"), Timeout: 300 * time.Millisecond},
	})
	if err != nil {
		log.Fatal(err)
	}
	for r := range batch.All() {
		fmt.Println(r.ID, r.Addr, r.Outcome)
	}
	// Unordered output:
	// 1 127.0.0.1:1 refused
	// 2 127.0.0.1:2 refused
}
