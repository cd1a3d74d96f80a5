package main

// usage is what -h prints. A test compares it with the flags.
const usage = `Usage: shake [flags] TARGET…
       shake [flags] vantage

shake checks whether TCP targets answer. A TARGET is ipv4:port, [ipv6]:port or name:port. The TARGET
- is a list on standard input. The word vantage in the place of the first TARGET prints the service's
name, engine and limits instead. Flags may stand before and after targets. What follows -- is a
target.

Which service to ask:
  --server ADDR      a running service: host:port or unix:PATH (default: SHAKE_SERVER from the
                     environment). Without one, this machine probes by itself (Linux only), and
                     looks names up with its search list. A service reads names as absolute
  --rate N           handshakes a second that this machine starts at most, 0 to 100000000 (default
                     20000; 0: no limit). Not with --server: a service has a rate of its own
  --connect-timeout D
                     how long connecting to the service may take, 10ms to 10m (default 10s)
  --ca FILE          PEM file of CA certificates used to verify the service (default: the system's)
  --server-name NAME name that the service's certificate must have (default: the host of --server;
                     localhost for unix:PATH)
  --cert FILE, --key FILE
                     PEM files of the caller's certificate with its chain, and of its key
  --token-file FILE  the caller's token is the content of FILE, without the newline at the end
                     (default: SHAKE_TOKEN_FILE from the environment). It is sent over TLS, to this
                     machine, or as --plaintext allows
  --plaintext        use plaintext for a service on another machine too. Anyone on the way can then
                     read the targets and the token, and forge the results
  --insecure         old name of --plaintext

shake uses TLS for a service on another machine, and plaintext for one on this machine (localhost,
127.0.0.0/8, [::1], unix:PATH). It uses TLS there too if --ca or --server-name or --cert is given.

shake connects to a service on another machine through the proxy that HTTPS_PROXY names, unless
NO_PROXY excludes that machine. It connects to this machine without a proxy.

What to ask:
  -f FILE            read targets from FILE too; - is standard input. Targets are separated by blanks
                     or line ends. A # at the beginning of a line or after a blank begins a comment
  --timeout D        how long one handshake may take, 1ms to 60s (default 2s)
  --attempts N       handshakes with each address at most, 1 to 16 (default 1). Another one follows
                     silence, or trouble on the service's side
  --exhaustive       make all attempts, whatever their results are
  --addresses WHICH  which addresses of a name must be reachable: first, any or all (default first)
  -4, -6             use the IPv4 or the IPv6 addresses of a name only
  --evidence         print the evidence of each handshake (with -o table or -o json)
  --deadline D       how long everything may take (default: no limit). Targets under way are then
                     inconclusive. If some targets were not asked about, the exit code is 4

Wait until targets answer:
  --wait D           ask again until all targets are reachable, for D at most, 100ms to 24h. A target
                     that was reachable once is not asked about again. A service that cannot be
                     reached is tried again too. At most 100000 targets
  --interval D       from the begin of one round of --wait to that of the next, 100ms to 1h
                     (default 1s). A round is longer if a target is silent for longer

What to print:
  -o FORMAT          table (default);
                     json: one tcpshaker.v1.CheckResult a line, with the field names of the .proto
                     file (of vantage: one GetVantageResponse);
                     csv: with a header. In table and csv, characters that do not print are escaped
                     as in Go. In csv, ' stands before a cell that a spreadsheet would run
  --version          print the version and exit
  -h, --help         print this and exit

A service that restarts, drains or ends an old stream is asked on about the targets without a result.
Each target is answered once. After a --connect-timeout without a result shake gives up. It adds a
wait that the service asks for, if that takes more than half of it.

Each result is printed as soon as it is known: in the order of completion with a list or --wait,
otherwise in the order of the arguments. In the table, DONE is how many handshakes were answered with
a SYN-ACK, of how many. With --wait, targets that were not reachable are printed at the end. Results
go to standard output, everything else to standard error.

Exit codes:
  0    all targets are reachable
  1    at least one is unreachable; with --wait: at least one was not reachable when the wait was over
  2    wrong flags, no targets, or a file that cannot be read
  3    none is unreachable, but at least one is inconclusive (not with --wait)
  4    the service could not be asked to the end (what has no result is on standard error), or the results could not be written
  130  interrupted by Ctrl-C
  141  the reader of the results went away
`
