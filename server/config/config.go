package config

import (
	"log/slog"
	"time"
)

// Config is a file that has no error. Keys that flags of shakerd have too are nil where the file does not name them: flags beat
// the file, and shakerd has defaults of its own. What the other keys default to is filled in.
type Config struct {
	Path string // of the file, as it was given

	Warnings Errors // of keys that do nothing, in the order of the file; nil: none

	Listen        []Listener // nil: not named, else at least one. Flag --listen
	Insecure      *bool      // flag --insecure
	MetricsListen *Address   // no address beyond loopback; a name is yet to be looked up. Flag --metrics-listen

	Name   *string           // what GetVantage calls this place, not empty. Flag --name
	Labels map[string]string // nil: not named. Flag --label

	Rate        *float64 // handshakes started a second, 0 to shaker.MaxRate; 0: no limit. Flag --rate
	MaxInFlight *int     // 0 to 1,048,576; 0: what descriptors and memory allow. Flag --max-in-flight
	// 0 to 65,535; 0: shaker.DefaultMaxInFlightPerAddress. Flag --max-in-flight-per-address
	MaxInFlightPerAddress *int
	Shards                *int           // 0 to shaker.MaxShards; 0: one for each core. Flag --shards
	DrainDelay            *time.Duration // 0 to MaxDrainDelay. Flag --drain-delay
	Grace                 *time.Duration // 0 to 24 h. Flag --grace

	NameCache         *time.Duration // 0 to MaxNameCache; 0: answers are not used again. Flag --name-cache
	NameCacheFailures *time.Duration // the same for failures. Flag --name-cache-failures

	StreamAge *time.Duration // 0, or MinStreamAge to MaxStreamAge; 0: streams have no age. Flag --stream-age

	LogFormat *string     // "text" or "json". Flag --log-format
	LogLevel  *slog.Level // flag --log-level

	Reflection Reflection
	Audit      Audit

	Callers []Caller // nil: not named, and everybody is served alike; else at least one, and nobody else is served
	Limits  Limits
}

// Reflection is who may ask for the service's descriptors by gRPC's reflection.
type Reflection string

// Who may use reflection.
const (
	ReflectionCallers Reflection = "callers" // those who are known, and everybody where no callers are configured; the default
	ReflectionAnyone  Reflection = "anyone"
	ReflectionNone    Reflection = "none"
)

// Audit is what the audit log has a line for.
type Audit string

// What is audited.
const (
	AuditRPCs   Audit = "rpcs"   // each RPC; the default
	AuditProbes Audit = "probes" // each RPC, and each probe
)

// Caller is who may ask, about what, and how often.
type Caller struct {
	Identity

	// Allow and Deny are what may be probed for the caller and what may not. Deny wins, and what neither covers is denied. Allow
	// may be empty, and then nothing may be probed; Deny may be nil. The texts are rules that the policy can read.
	Allow, Deny []Rule

	Limits     CallerLimits
	At         Position // of the caller in the file
	IdentityAt Position // of the key identity's value
}

// Identity is a caller's name, 1 to 64 of A-Z, a-z, 0-9, dot, underscore and hyphen, and by what it is known: any one of these.
// There is at least one of them, and no two callers share one.
type Identity struct {
	Name        string
	TLSSANs     []string   // of client certificates: a URI with ://, or a DNS name
	TokenSHA256 [][32]byte // of bearer tokens
	UIDs        []uint32   // of peers on unix sockets, 0 to 4294967294
}

// Rule is the text of one rule.
type Rule struct {
	Text string
	At   Position
}

// Rate is how much may be used: Burst at once, and PerSecond on the long run. PerSecond 0 is no limit; else it is 0.001 to
// shaker.MaxRate, and Burst 1 to 1,000,000,000, by default a second's worth and at least 16.
type Rate struct {
	PerSecond float64
	Burst     int
}

// CallerLimits are those of one caller, all its streams and connections together.
type CallerLimits struct {
	Rate        Rate // of probes, and so of handshakes
	Outstanding int  // targets not yet answered: 1 to 10,000,000, default 200,000
	Streams     int  // RPCs under way at a time, of any kind: 1 to 10,000, default 64
}

// Limits are those of the service, whoever asks. The zero value is no limits.
type Limits struct {
	Rate         Rate // of all probes together
	Destinations DestinationLimits
}

// DestinationLimits are about what is probed. The zero value is no limits.
type DestinationLimits struct {
	PerAddress, PerPrefix Rate

	IPv4Bits, IPv6Bits int // how long a prefix of PerPrefix is: 8 to 32, default 24; 16 to 128, default 64. 0 without PerPrefix

	// How many ports of one address one caller may touch in a window: 1 to 128, in 1 s to 24 h, default 1 min. 0: any number.
	Ports  int
	Window time.Duration
}
