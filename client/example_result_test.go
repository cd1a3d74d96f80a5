package client_test

import (
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"github.com/CarterTsai/tcp-shaker/client"
)

// A Result as a line for people, as JSON, and in a log.
func ExampleResult() {
	result := client.Result{
		Target:    "db.example:5432",
		Verdict:   client.Reachable,
		Reason:    client.ReasonSYNACK,
		Address:   netip.MustParseAddrPort("192.0.2.7:5432"),
		RTT:       1500 * time.Microsecond,
		Completed: 1,
		Attempted: 1,
	}
	fmt.Println(result)

	encoded, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(encoded))

	var decoded client.Result
	if err := json.Unmarshal(encoded, &decoded); err != nil {
		log.Fatal(err)
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	logger.Info("checked", "check", decoded)
	// Output:
	// db.example:5432: reachable (SYN-ACK), rtt 1.5ms, address 192.0.2.7:5432
	// {
	//   "index": 0,
	//   "target": "db.example:5432",
	//   "verdict": "reachable",
	//   "reason": "SYN-ACK",
	//   "address": "192.0.2.7:5432",
	//   "rtt": "1.5ms",
	//   "completed": 1,
	//   "attempted": 1
	// }
	// level=INFO msg=checked check.index=0 check.target=db.example:5432 check.verdict=reachable check.reason=SYN-ACK check.address=192.0.2.7:5432 check.rtt=1.5ms check.completed=1 check.attempted=1
}

// withoutTime is for a log whose lines do not change.
func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
