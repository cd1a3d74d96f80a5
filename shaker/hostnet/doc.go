// Package hostnet follows this host's own network by rtnetlink(7): its addresses, its links and its
// routes. It answers one question for each packet that met silence: did our own side work for the
// whole time?
//
//	kernel ── RTM_NEWADDR, RTM_DELLINK, … ──▶ Watcher ──▶ State   what there is, and since when
//	                                             │
//	                                          Look.Find   what was lost since a packet left
//
// One socket receives the changes of links, addresses, routes, rules and nexthops. A second socket
// asks for single links and routes. The kernel reports a lost carrier up to a second late
// (linkwatch_schedule_work, net/core/link_watch.c), so a Look reads the links that it judges. It
// asks for a route only if something has changed since the packet left, or if the source address
// does not tell the link.
//
// What a Watcher needs is the right to open AF_NETLINK sockets, and no privilege. Elsewhere than on
// Linux, Open returns an error that wraps errors.ErrUnsupported.
package hostnet
