//go:build !race

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// attacks run at the same time, each on a connection of its own at least, at rates that leave the machine a processor: what is
// measured is what the service makes of them, not how much noise a machine can make.
var attacks = []func(context.Context, tcpshakerv1.ShakerServiceClient, *tally){
	func(ctx context.Context, client tcpshakerv1.ShakerServiceClient, t *tally) {
		denied := deniedTargets()
		flood(ctx, client, t, "denied", 20*time.Millisecond, func(int) []string { return denied })
	},
	func(ctx context.Context, client tcpshakerv1.ShakerServiceClient, t *tally) {
		flood(ctx, client, t, "ports", 50*time.Millisecond, func(i int) []string {
			return some(16, func(j int) string { return fmt.Sprintf("198.18.200.1:%d", 1+(16*i+j)%2000) })
		})
	},
	func(ctx context.Context, client tcpshakerv1.ShakerServiceClient, t *tally) {
		flood(ctx, client, t, "address", 50*time.Millisecond, func(int) []string {
			return some(16, func(int) string { return "198.18.201.1:443" })
		})
	},
	func(ctx context.Context, client tcpshakerv1.ShakerServiceClient, t *tally) {
		flood(ctx, client, t, "prefix", 50*time.Millisecond, func(i int) []string {
			return some(16, func(j int) string { return fmt.Sprintf("198.18.202.%d:443", (16*i+j)%256) })
		})
	},
	func(ctx context.Context, client tcpshakerv1.ShakerServiceClient, t *tally) {
		flood(ctx, client, t, "prefix6", 50*time.Millisecond, func(i int) []string {
			return some(16, func(j int) string { return fmt.Sprintf("[2001:db8:5::%x:%x]:443", i%0xffff, j+1) })
		})
	},
	beyondBurst, beyondRate, hoard, strangers, resets, huge,
}

func some(n int, make func(i int) string) []string {
	var all []string
	for i := range n {
		all = append(all, make(i))
	}
	return all
}

// deniedIPv4 are addresses that evil may not ask about: not allowed, denied inside what is allowed, and on the never-list.
var deniedIPv4 = []string{
	"10.66.0.1", "198.19.0.1", "198.18.0.1", "198.18.203.7", "169.254.169.254", "127.0.0.1", "168.63.129.16", "192.168.1.1", "0.0.0.0",
}

// deniedTargets are all forms of what evil may not ask about, although it may ask about IPv6 in general.
func deniedTargets() []string {
	targets := []string{
		"127.0.0.1:22", "[::1]:22", "[fd00:66::1]:443", "[fe80::1]:80", "[fd00:ec2::254]:80", "[::]:80",
		"localhost:22", "metadata.google.internal:80", "web.corp.example:443", "soak.example:443", // names that no rule has
		"bait.soak.example:443", "inner.soak.example:443", // names that one has, whose addresses are denied
	}
	for _, text := range deniedIPv4 {
		b := netip.MustParseAddr(text).As4()
		hi, lo := uint16(b[0])<<8|uint16(b[1]), uint16(b[2])<<8|uint16(b[3])
		for _, form := range []string{
			text, "[::ffff:" + text + "]", "[64:ff9b::" + text + "]", "[64:ff9b:1::" + text + "]",
			fmt.Sprintf("[::%x:%x]", hi, lo|0x100), // not ::1
			fmt.Sprintf("[2002:%x:%x::1]", hi, lo),
			fmt.Sprintf("[2001:0:%x:%x::1]", hi, lo),
			fmt.Sprintf("[2001:0:cb00:7101::%x:%x]", ^hi, ^lo),
		} {
			if text == "0.0.0.0" && strings.Contains(form, "64:ff9b:1") || text == "127.0.0.1" && strings.HasPrefix(form, "[::7") {
				continue
			}
			targets = append(targets, form+":80")
		}
	}
	return targets
}

// beyondBurst asks at once for more than greedy may ever have at once, and for what it cannot have in time.
func beyondBurst(ctx context.Context, client tcpshakerv1.ShakerServiceClient, t *tally) {
	often(ctx, 20*time.Millisecond, func(i int) {
		ctx, cancel := context.WithTimeout(as(ctx, "greedy"), time.Second)
		defer cancel()
		targets := some(17, func(j int) string { return fmt.Sprintf("198.18.%d.%d:443", 128+(i+j)%32, 1+(i/32)%250) })
		got, err := client.Check(ctx, &tcpshakerv1.CheckRequest{Targets: targets, Options: &tcpshakerv1.CheckOptions{Attempts: 16}})
		t.status(ctx, "burst", err)
		t.results("burst", got.GetResults())
	})
}

// beyondRate has several streams at once, on connections of their own, that ask for far more than greedy's rate.
func beyondRate(ctx context.Context, _ tcpshakerv1.ShakerServiceClient, t *tally) {
	var wg sync.WaitGroup
	for k := range 6 {
		wg.Go(func() {
			conn := hostileConn()
			defer conn.Close()
			stream, err := tcpshakerv1.NewShakerServiceClient(conn).StreamCheck(as(ctx, "greedy"))
			if err != nil {
				t.status(ctx, "rate", err)
				return
			}
			go often(ctx, 50*time.Millisecond, func(i int) {
				_ = stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: some(16, func(j int) string {
					return fmt.Sprintf("198.18.%d.%d:443", 128+(16*i+j)%32, 1+(40*k+i%40)%250)
				})})
			})
			for {
				got, err := stream.Recv()
				if err != nil {
					t.status(ctx, "rate", err)
					return
				}
				t.results("rate", got.GetResults())
			}
		})
	}
	wg.Wait()
}

// hoard has ten connections with ten streams each, of which a caller may have four in all, and reads none of them.
func hoard(ctx context.Context, _ tcpshakerv1.ShakerServiceClient, t *tally) {
	often(ctx, 500*time.Millisecond, func(int) {
		ctx, cancel := context.WithTimeout(as(ctx, "mute"), 2*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for range 10 {
			conn := hostileConn()
			defer conn.Close()
			for k := range 10 {
				wg.Go(func() {
					stream, err := tcpshakerv1.NewShakerServiceClient(conn).StreamCheck(ctx)
					for i := 0; err == nil && ctx.Err() == nil; i++ {
						err = stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: some(64, func(j int) string {
							return fmt.Sprintf("198.18.%d.%d:443", 160+(i+k)%32, 1+j)
						})})
					}
					if err != nil && ctx.Err() == nil { // it was ended by the service: ask why
						for stream != nil && (err == nil || errors.Is(err, io.EOF)) { // Send says EOF: the status is behind the results
							_, err = stream.Recv()
						}
						if status.Code(err) != codes.DeadlineExceeded { // the service may see the deadline before its caller does
							t.status(ctx, "hoard", err)
							return
						}
					}
					t.add("hoard", "held unread", 1)
				})
			}
		}
		wg.Wait()
	})
}

// strangers come with a wrong token or with none.
func strangers(ctx context.Context, client tcpshakerv1.ShakerServiceClient, t *tally) {
	conn := hostileConn()
	defer conn.Close()
	health := healthpb.NewHealthClient(conn)
	ask := &tcpshakerv1.CheckRequest{Targets: []string{"127.0.0.1:22", "198.18.0.1:443"}}
	often(ctx, 5*time.Millisecond, func(int) {
		for _, name := range []string{"nobody", "edge ", strings.Repeat("x", 5000)} {
			_, err := client.Check(as(ctx, name), ask)
			t.status(ctx, "wrong token", err)
		}
		_, err := client.Check(ctx, ask)
		t.status(ctx, "no token", err)
		_, err = client.GetVantage(ctx, &tcpshakerv1.GetVantageRequest{})
		t.status(ctx, "no token", err)
		_, err = health.Check(ctx, &healthpb.HealthCheckRequest{Service: "tcp://127.0.0.1:22"})
		t.status(ctx, "health", err)
	})
}

// resets opens streams and resets them at once.
func resets(ctx context.Context, client tcpshakerv1.ShakerServiceClient, t *tally) {
	often(ctx, 10*time.Millisecond, func(i int) {
		for range 8 {
			ctx, cancel := context.WithCancel(as(ctx, []string{"mute", "nobody"}[i%2]))
			if _, err := client.StreamCheck(ctx, grpc.WaitForReady(true)); err == nil {
				t.add("resets", "reset", 1)
			}
			cancel()
		}
	})
}

// huge sends messages that are larger than may be, and such as just may be and have no sense.
func huge(ctx context.Context, client tcpshakerv1.ShakerServiceClient, t *tally) {
	tooLarge := &tcpshakerv1.CheckRequest{Targets: []string{strings.Repeat("x", 5<<20)}}
	large := &tcpshakerv1.CheckRequest{Targets: some(2, func(int) string { return strings.Repeat("x", 1<<20) })}
	often(ctx, 250*time.Millisecond, func(i int) {
		request := []*tcpshakerv1.CheckRequest{tooLarge, large}[i%2]
		_, err := client.Check(as(ctx, "evil"), request)
		t.status(ctx, "huge", err)
		_, err = client.Check(ctx, request)
		t.status(ctx, "no token", err)
	})
}
