package main

// usage is what -h prints. A test holds it to the flags that there are.
const usage = `Usage: shake [flags] TARGET…

shake tells whether TCP targets answer. A TARGET is ipv4:port, [ipv6]:port or name:port. Flags may stand before and after
targets; what follows -- is a target.

Whom to ask:
  --server ADDR      a running service: host:port or unix:PATH (default: SHAKE_SERVER from the environment). Without one,
                     this machine probes by itself (Linux only), starting at most 20000 handshakes a second
  --ca FILE          the CA certificates, in PEM, one of which must be behind the service's (default: the system's)
  --server-name NAME what the service's certificate must be for (default: the host of --server; localhost for unix:PATH)
  --cert FILE, --key FILE
                     the caller's own certificate, with those between it and its CA, and its key, both in PEM
  --token-file FILE  the caller's token is the content of FILE, without the newline at the end (default: SHAKE_TOKEN_FILE
                     from the environment); it is sent over TLS, to this machine, or as --insecure says
  --insecure         talk plaintext to a service on another machine too: whoever is on the way can read the targets and the
                     token, and forge the results

To a service on another machine shake talks TLS, and to one on this machine (localhost, 127.0.0.0/8, [::1], unix:PATH)
plaintext; TLS there too if --ca or --server-name or a certificate is given.

To a service on another machine shake goes through the proxy that HTTPS_PROXY names, unless NO_PROXY leaves that machine
out. To one on this machine it never uses a proxy.

What to ask:
  -f FILE            read targets from FILE too, one a line; - is standard input; blank lines and lines with # are skipped
  --timeout D        how long one handshake may take, 1ms to 60s (default 2s)
  --attempts N       handshakes with each address at most, 1 to 16 (default 1); the next one
                     follows silence, or trouble of the service's own
  --exhaustive       make all attempts, whatever they bring
  --addresses WHICH  which addresses of a name must be reachable: first, any or all (default first)
  -4, -6             use the IPv4 or the IPv6 addresses of a name only
  --evidence         tell what each handshake brought (with -o table or json)
  --deadline D       how long everything may take (default: no limit); what is under way then is inconclusive, and if there
                     are targets that were not even asked about, the exit code is 4. To find silent targets
                     unreachable, leave time for --timeout times --attempts and 100ms more

How to tell it:
  -o FORMAT          table (default);
                     json: one tcpshaker.v1.CheckResult a line, with the field names of the .proto file;
                     csv: with a header. In table and csv, characters that do not print are escaped as in Go, and in csv a
                     cell that a spreadsheet would take for a formula begins with '
  --version          print the version and exit
  -h, --help         print this and exit

Each result is written as soon as it is known: with -f in the order in which targets are decided, without it in the order
of the arguments. Results go to standard output, everything else to standard error.

Exit codes:
  0    all targets are reachable
  1    at least one is unreachable
  2    wrong flags, no targets, or a file that cannot be read
  3    none is unreachable, but at least one is inconclusive
  4    the service could not be asked to the end, or the results could not be written
  130  interrupted by Ctrl-C
  141  the reader of the results went away
`
