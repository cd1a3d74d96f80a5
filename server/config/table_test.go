package config

import "strings"

const token2 = `"ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"`

var errorTable = []struct{ name, file, want string }{
	{
		"empty", "",
		"1:1: the file is empty: it has no key",
	},
	{
		"only comments", "# nothing\n",
		"1:1: the file is empty: it has no key",
	},
	{
		"only a marker", "---\n",
		"1:1: the file is empty: it has no key",
	},
	{
		"null", "~\n",
		"1:1: the file is empty: it has no key",
	},
	{
		"a list", "- a\n",
		"1:1: the file must be a mapping, of keys to values, and is a list",
	},
	{
		"a text", "hello\n",
		`1:1: the file must be a mapping, of keys to values, and is "hello"`,
	},
	{
		"two documents", "rate: 1\n---\nrate: 2\n",
		"2:1: a second document begins here, and a configuration is one",
	},
	{
		"a second, broken document", "rate: 1\n---\n[\n",
		"4:1: not YAML: did not find expected node content",
	},
	{
		"not UTF-8", "name: a\n# \xff\n",
		"2:3: not UTF-8: the byte 0xff",
	},
	{
		"UTF-16", "\xff\xfer\x00",
		"1:1: not UTF-8: the byte 0xff",
	},
	{
		"NUL", "name: é\x00\n",
		"1:8: the character U+0000 has no place in a text file",
	},
	{
		"carriage return", "name: a\rrate: 1\n",
		"1:8: a carriage return without a line feed behind it",
	},
	{
		"line separator", "name: \u2028\n",
		"1:7: the character U+2028 has no place in a text file",
	},
	{
		"tab", "labels:\n\ta: b\n",
		"2:1: not YAML: found character that cannot start any token (a line cannot be indented with tabs)",
	},
	{
		"unclosed list", "callers: [\n",
		"2:1: not YAML: did not find expected node content",
	},
	{
		"unclosed text", "name: 'x\n",
		"1:7: not YAML: found unexpected end of stream",
	},
	{
		"no colon", "rate: 1\nname\n",
		"2:1: not YAML: could not find expected ':'",
	},
	{
		"indentation", "labels:\n  a: b\n c: d\n",
		"3:2: not YAML: did not find expected key, while parsing a block mapping that begins at 1:1",
	},
	{
		"unknown anchor", "name: *x\n",
		"1:7: not YAML: unknown anchor 'x' referenced (a text that begins with * needs quotes)",
	},
	{
		"rule without quotes", "callers:\n- allow: [*.corp.example:443]\n",
		"2:11: not YAML: unknown anchor '.corp.example:443' referenced (a text that begins with * needs quotes)",
	},
	{
		"at sign", "name: @x\n",
		"1:7: not YAML: found character that cannot start any token (a text that begins with @ needs quotes)",
	},
	{
		"control by escape", "name: \"a\\nb\"\n",
		`1:7: name must not hold control characters, and is "a\nb"`,
	},
	{
		"unknown key", "lisen: []\n",
		`1:1: unknown key "lisen": did you mean listen?`,
	},
	{
		"unknown key with hyphens", "metrics-listen: 127.0.0.1:1\n",
		`1:1: unknown key "metrics-listen": did you mean metrics_listen?`,
	},
	{
		"unknown key, far", "frobnicate: 1\n",
		`1:1: unknown key "frobnicate": known here are listen, insecure, metrics_listen, name, labels, rate, max_in_flight, max_in_flight_per_address, shards, name_cache, name_cache_failures, stream_age, drain_delay, grace, log_format, log_level, reflection, audit, callers, limits`,
	},
	{
		"unknown key below", "listen:\n- adress: 127.0.0.1:1\n",
		`2:3: unknown key "adress": did you mean address?`,
	},
	{
		"unknown long key", "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk: 1\n",
		`1:1: unknown key "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk…": known here are listen, insecure, metrics_listen, name, labels, rate, max_in_flight, max_in_flight_per_address, shards, name_cache, name_cache_failures, stream_age, drain_delay, grace, log_format, log_level, reflection, audit, callers, limits`,
	},
	{
		"doubled key", "rate: 1\nname: a\nrate: 2\n",
		`3:1: the key "rate" is there twice, first on line 1`,
	},
	{
		"doubled label", "labels: {a: b, a: c}\n",
		`1:16: the key "a" is there twice, first on line 1`,
	},
	{
		"number as key", "1: 2\n",
		"1:1: a key must be plain text",
	},
	{
		"list as key", "[a]: 2\n",
		"1:1: a key must be plain text",
	},
	{
		"alias as key", "name: &a rate\n*a : 1\n",
		"2:1: a key must be plain text",
	},
	{
		"merge key", "limits: &l {probes_per_second: 1}\nlabels:\n  <<: *l\n",
		"3:3: the merge key << is not used here: give the whole value an anchor instead",
	},
	{
		"no value", "rate:\nname: a\n",
		"1:1: rate has no value: give it one, or leave the key out",
	},
	{
		"null value", "callers: ~\n",
		"1:1: callers has no value: give it one, or leave the key out",
	},
	{
		"no value in a list", "listen:\n-\n",
		"2:2: an item of listen has no value",
	},
	{
		"tag", "rate: !!int 5\n",
		"1:7: rate has a tag of its own, and none is used here: leave out what begins with !",
	},
	{
		"own tag", "name: !secret x\n",
		"1:7: name has a tag of its own, and none is used here: leave out what begins with !",
	},
	{
		"tag of a list", "listen: !x []\n",
		"1:9: listen has a tag of its own, and none is used here: leave out what begins with !",
	},
	{
		"insecure", "insecure: yes\n",
		`1:11: insecure must be true or false, and is "yes"`,
	},
	{
		"insecure text", "insecure: \"true\"\n",
		`1:11: insecure must be true or false, and is "true"`,
	},
	{
		"name number", "name: 17\n",
		"1:7: name must be text, and is 17: write it in quotes",
	},
	{
		"name list", "name: [a]\n",
		"1:7: name must be text, and is a list: it may need quotes",
	},
	{
		"name empty", "name: \"\"\n",
		"1:7: name must not be empty",
	},
	{
		"labels list", "labels: [a]\n",
		"1:9: labels must be a mapping, of keys to values, and is a list",
	},
	{
		"label bool", "labels: {a: true}\n",
		`1:13: the label "a" must be text, and is true: write it in quotes`,
	},
	{
		"label without key", "labels: {\"\": a}\n",
		"1:10: a label needs a key",
	},
	{
		"label null", "labels: {a: }\n",
		"1:10: a has no value: give it one, or leave the key out",
	},
	{
		"rate text", "rate: fast\n",
		`1:7: rate must be a number from 0.001 to 100000000, or 0 for no limit, in decimal digits, and is "fast"`,
	},
	{
		"rate quoted", "rate: \"5\"\n",
		`1:7: rate must be a number from 0.001 to 100000000, or 0 for no limit, in decimal digits, and is "5"`,
	},
	{
		"rate negative", "rate: -1\n",
		"1:7: rate must be a number from 0.001 to 100000000, or 0 for no limit, in decimal digits, and is -1",
	},
	{
		"rate beyond", "rate: 100000001\n",
		"1:7: rate must be a number from 0.001 to 100000000, or 0 for no limit, in decimal digits, and is 100000001",
	},
	{
		"rate tiny", "rate: 0.0001\n",
		"1:7: rate must be a number from 0.001 to 100000000, or 0 for no limit, in decimal digits, and is 0.0001",
	},
	{
		"rate nan", "rate: .nan\n",
		"1:7: rate must be a number from 0.001 to 100000000, or 0 for no limit, in decimal digits, and is .nan",
	},
	{
		"rate inf", "rate: .inf\n",
		"1:7: rate must be a number from 0.001 to 100000000, or 0 for no limit, in decimal digits, and is .inf",
	},
	{
		"rate hex", "rate: 0x10\n",
		"1:7: rate must be a number from 0.001 to 100000000, or 0 for no limit, in decimal digits, and is 0x10",
	},
	{
		"rate octal", "rate: 010\n",
		"1:7: rate must be a number from 0.001 to 100000000, or 0 for no limit, in decimal digits, and is 010",
	},
	{
		"rate underscore", "rate: 1_000\n",
		"1:7: rate must be a number from 0.001 to 100000000, or 0 for no limit, in decimal digits, and is 1_000",
	},
	{
		"max_in_flight", "max_in_flight: 1048577\n",
		"1:16: max_in_flight must be a whole number from 0 to 1048576, in decimal digits, and is 1048577",
	},
	{
		"max_in_flight_per_address", "max_in_flight_per_address: 65536\n",
		"1:28: max_in_flight_per_address must be a whole number from 0 to 65535, in decimal digits, and is 65536",
	},
	{
		"max_in_flight float", "max_in_flight: 1.0\n",
		"1:16: max_in_flight must be a whole number from 0 to 1048576, in decimal digits, and is 1.0",
	},
	{
		"max_in_flight huge", "max_in_flight: 99999999999999999999\n",
		"1:16: max_in_flight must be a whole number from 0 to 1048576, in decimal digits, and is 99999999999999999999",
	},
	{
		"shards", "shards: 257\n",
		"1:9: shards must be a whole number from 0 to 256, in decimal digits, and is 257",
	},
	{
		"shards negative", "shards: -1\n",
		"1:9: shards must be a whole number from 0 to 256, in decimal digits, and is -1",
	},
	{
		"shards octal", "shards: 010\n",
		"1:9: shards must be a whole number from 0 to 256, in decimal digits, and is 010",
	},
	{
		"shards signed", "shards: +1\n",
		"1:9: shards must be a whole number from 0 to 256, in decimal digits, and is +1",
	},
	{
		"drain_delay beyond", "drain_delay: 5m1s\n",
		`1:14: drain_delay must be a duration from 0s to 5m, such as 10s or 1m30s, and is "5m1s"`,
	},
	{
		"drain_delay negative", "drain_delay: -1s\n",
		`1:14: drain_delay must be a duration from 0s to 5m, such as 10s or 1m30s, and is "-1s"`,
	},
	{
		"stream age number", "stream_age: 10\n",
		"1:13: stream_age must be a duration from 0s to 24h, such as 10s or 1m30s, and is 10",
	},
	{
		"stream age short", "stream_age: 999ms\n",
		"1:13: stream_age must be at least 1s, or 0s for streams without an age, and is 999ms",
	},
	{
		"stream age beyond", "stream_age: 24h1s\n",
		`1:13: stream_age must be a duration from 0s to 24h, such as 10s or 1m30s, and is "24h1s"`,
	},
	{
		"grace number", "grace: 10\n",
		"1:8: grace must be a duration from 0s to 24h, such as 10s or 1m30s, and is 10",
	},
	{
		"grace unit", "grace: 10 s\n",
		`1:8: grace must be a duration from 0s to 24h, such as 10s or 1m30s, and is "10 s"`,
	},
	{
		"grace beyond", "grace: 24h1s\n",
		`1:8: grace must be a duration from 0s to 24h, such as 10s or 1m30s, and is "24h1s"`,
	},
	{
		"grace negative", "grace: -1s\n",
		`1:8: grace must be a duration from 0s to 24h, such as 10s or 1m30s, and is "-1s"`,
	},
	{
		"grace mapping", "grace: {s: 10}\n",
		"1:8: grace must be a duration from 0s to 24h, such as 10s or 1m30s, and is a mapping",
	},
	{
		"log_format", "log_format: xml\n",
		`1:13: log_format must be one of text, json, and is "xml"`,
	},
	{
		"log_level", "log_level: INFO\n",
		`1:12: log_level must be one of debug, info, warn, error, and is "INFO"`,
	},
	{
		"reflection", "reflection: nobody\n",
		`1:13: reflection must be one of callers, anyone, none, and is "nobody"`,
	},
	{
		"audit", "audit: [rpcs]\n",
		"1:8: audit must be one of rpcs, probes, and is a list",
	},
	{
		"listen text", "listen: 127.0.0.1:1\n",
		`1:9: listen must be a list, and is "127.0.0.1:1"`,
	},
	{
		"listen nothing", "listen: []\n",
		"1:9: listen needs at least one item, or leave the key out",
	},
	{
		"listen item", "listen: [127.0.0.1:1]\n",
		`1:10: an item of listen must be a mapping, of keys to values, and is "127.0.0.1:1"`,
	},
	{
		"no address", "listen:\n- mode: \"0600\"\n",
		`2:3: an item of listen needs the key "address"`,
	},
	{
		"address without port", "listen:\n- address: 127.0.0.1\n",
		`2:12: address must be host:port, with an IPv6 address in brackets, or unix:PATH, and is "127.0.0.1"`,
	},
	{
		"address port", "listen:\n- address: 127.0.0.1:65536\n",
		`2:12: address must have a port from 0 to 65535, and is "127.0.0.1:65536"`,
	},
	{
		"address IPv6", "listen: [{address: '::1:50051'}]\n",
		`1:20: address must be host:port, with an IPv6 address in brackets, or unix:PATH, and is "::1:50051"`,
	},
	{
		"unix without path", "listen: [{address: 'unix:'}]\n",
		`1:20: address must have a path, as in unix:/run/shakerd.sock, and is "unix:"`,
	},
	{
		"abstract", "listen: [{address: 'unix:@x'}]\n",
		`1:20: address must not be an abstract socket (a file's name can be given as unix:./@…), and is "unix:@x"`,
	},
	{
		"long path", "listen: [{address: 'unix:/ppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp'}]\n",
		`1:20: address must have a path of at most 107 bytes, and is "unix:/pppppppppppppppppppppppppppppppppppppppppppppppppppppppppp…"`,
	},
	{
		"address twice", "listen:\n- address: 127.0.0.1:1\n- address: '[::ffff:127.0.0.1]:1'\n",
		`3:12: "[::ffff:127.0.0.1]:1" is listened on already, as "127.0.0.1:1" on line 2`,
	},
	{
		"wildcard twice", "insecure: true\nlisten:\n- address: :1\n- address: localhost:1\n",
		`4:12: "localhost:1" is listened on already, as ":1" on line 3`,
	},
	{
		"path twice", "listen: [{address: unix:a}, {address: unix:a}]\n",
		`1:39: "unix:a" is listened on already, as "unix:a" on line 1`,
	},
	{
		"name twice", "listen: [{address: 'a.example:1'}, {address: 'A.example:1'}]\n",
		`1:46: "A.example:1" is listened on already, as "a.example:1" on line 1`,
	},
	{
		"no cert and no key", "listen:\n- address: 127.0.0.1:1\n  tls: {}\n",
		"3:8: tls needs the key \"cert\"\n3:8: tls needs the key \"key\"",
	},
	{
		"no key", "listen:\n- address: 127.0.0.1:1\n  tls:\n    cert: a\n",
		`4:5: tls needs the key "key"`,
	},
	{
		"empty cert", "listen: [{address: '127.0.0.1:1', tls: {cert: '', key: b}}]\n",
		"1:47: cert must not be empty",
	},
	{
		"crl without ca", "listen: [{address: '127.0.0.1:1', tls: {cert: a, key: b, client_crl: c}}]\n",
		"1:40: client_crl says which of client_ca's certificates are revoked, and there is no client_ca",
	},
	{
		"min_version number", "listen: [{address: '127.0.0.1:1', tls: {cert: a, key: b, min_version: 1.3}}]\n",
		"1:71: min_version must be one of 1.2, 1.3, and is 1.3: write it in quotes",
	},
	{
		"min_version old", "listen: [{address: '127.0.0.1:1', tls: {cert: a, key: b, min_version: '1.1'}}]\n",
		`1:71: min_version must be one of 1.2, 1.3, and is "1.1"`,
	},
	{
		"mode on TCP", "listen:\n- address: 127.0.0.1:1\n  mode: \"0600\"\n",
		"3:9: mode is for unix sockets alone",
	},
	{
		"tls on unix", "listen:\n- address: unix:a\n  tls: {cert: a, key: b}\n",
		"3:8: a unix socket takes no tls: it does not leave this host, and knows its peers by uid",
	},
	{
		"mode number", "listen: [{address: unix:a, mode: 0660}]\n",
		`1:34: mode must be three or four octal digits in quotes, from "0000" to "0777", and is 0660`,
	},
	{
		"mode letters", "listen: [{address: unix:a, mode: rw-rw----}]\n",
		`1:34: mode must be three or four octal digits in quotes, from "0000" to "0777", and is "rw-rw----"`,
	},
	{
		"mode beyond", "listen: [{address: unix:a, mode: '1777'}]\n",
		`1:34: mode must be three or four octal digits in quotes, from "0000" to "0777", and is "1777"`,
	},
	{
		"mode digits", "listen: [{address: unix:a, mode: '66'}]\n",
		`1:34: mode must be three or four octal digits in quotes, from "0000" to "0777", and is "66"`,
	},
	{
		"metrics open", "insecure: true\nmetrics_listen: :9090\n",
		`2:17: metrics_listen must be a loopback address or a unix socket, with insecure as well, and is ":9090"`,
	},
	{
		"metrics where listen is", "metrics_listen: 127.0.0.1:1\nlisten: [{address: '127.0.0.1:1'}]\n",
		`1:17: "127.0.0.1:1" is for gRPC, as "127.0.0.1:1" on line 2; metrics need a place of their own`,
	},
	{
		"open", "listen:\n- address: 0.0.0.0:1\n",
		`2:12: "0.0.0.0:1" is open to other machines and needs tls and callers; otherwise listen on a loopback address or a unix socket, or say insecure: true`,
	},
	{
		"open without callers", "listen:\n- address: 192.0.2.1:1\n  tls: {cert: a, key: b}\n",
		`2:12: "192.0.2.1:1" is open to other machines and needs callers; otherwise listen on a loopback address or a unix socket, or say insecure: true`,
	},
	{
		"open without tls", caller + "listen:\n- address: ':1'\n",
		`6:12: ":1" is open to other machines and needs tls; otherwise listen on a loopback address or a unix socket, or say insecure: true`,
	},
	{
		"open IPv6", "insecure: false\nlisten: [{address: '[2001:db8::1]:1'}]\n",
		`2:20: "[2001:db8::1]:1" is open to other machines and needs tls and callers; otherwise listen on a loopback address or a unix socket, or say insecure: true`,
	},
	{
		"callers mapping", "callers: {edge: {}}\n",
		"1:10: callers must be a list, and is a mapping",
	},
	{
		"callers nothing", "callers: []\n",
		"1:10: callers needs at least one caller; without the key everybody is served",
	},
	{
		"caller text", "callers: [edge]\n",
		`1:11: a caller must be a mapping, of keys to values, and is "edge"`,
	},
	{
		"caller nothing", "callers:\n- {}\n",
		"2:3: a caller needs the key \"allow\"\n2:3: a caller needs the key \"identity\"\n2:3: a caller needs the key \"name\"",
	},
	{
		"caller name", "callers:\n- name: a b\n  identity: {uid: [1]}\n  allow: []\n",
		"2:9: name must be 1 to 64 of A-Z, a-z, 0-9, dot, underscore and hyphen, and is \"a b\"\n3:13: the caller can never be known: it has uid alone, and no listener is a unix socket",
	},
	{
		"caller name long", "callers:\n- name: nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\n  identity: {token_sha256: [" + token + "]}\n  allow: []\n",
		`2:9: name must be 1 to 64 of A-Z, a-z, 0-9, dot, underscore and hyphen, and is "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn…"`,
	},
	{
		"name of two", caller + "- name: a\n  identity: {token_sha256: [" + token2 + "]}\n  allow: []\n",
		`5:9: two callers have the name "a", the first on line 2`,
	},
	{
		"SAN of two", caller + "- name: b\n  identity: {token_sha256: [" + token2 + "], tls_san: [A.Example]}\n  allow: []\n",
		`6:108: two callers have the SAN "A.Example", the first on line 3`,
	},
	{
		"token of two", caller + "- name: b\n  identity: {token_sha256: [" + strings.ToUpper(token) + "]}\n  allow: []\n",
		"6:29: two callers have the token, the first on line 3",
	},
	{
		"uid of two", caller + "- name: b\n  identity: {token_sha256: [" + token2 + "], uid: [1]}\n  allow: []\n",
		"6:104: two callers have the uid 1, the first on line 3",
	},
	{
		"SAN twice", "callers:\n- name: a\n  identity: {token_sha256: [" + token + "], tls_san: [a.example, a.example]}\n  allow: []\n",
		`3:119: the SAN "a.example" is there twice, first on line 3`,
	},
	{
		"identity nothing", "callers:\n- name: a\n  identity: {}\n  allow: []\n",
		"3:13: identity needs at least one entry in tls_san, token_sha256 or uid",
	},
	{
		"identity empty lists", "callers:\n- name: a\n  identity: {tls_san: [], uid: []}\n  allow: []\n",
		"3:13: identity needs at least one entry in tls_san, token_sha256 or uid",
	},
	{
		"SAN address", "callers:\n- name: a\n  identity: {tls_san: [192.0.2.1]}\n  allow: []\n",
		`3:24: tls_san "192.0.2.1" is an IP address or none, and only URIs and DNS names are compared`,
	},
	{
		"SAN URI", "callers:\n- name: a\n  identity: {tls_san: ['spiffe://']}\n  allow: []\n",
		`3:24: tls_san "spiffe://" is a URI without scheme or host, unlike spiffe://corp/edge`,
	},
	{
		"SAN name", "callers:\n- name: a\n  identity: {tls_san: [a..b]}\n  allow: []\n",
		`3:24: tls_san "a..b" is neither a URI (with ://) nor a DNS name`,
	},
	{
		"token short", "callers:\n- name: a\n  identity: {token_sha256: [abc]}\n  allow: []\n",
		"3:29: token_sha256 must be 64 hexadecimal digits, and has 3 characters (is it the token itself?)",
	},
	{
		"token digits", "callers:\n- name: a\n  identity: {token_sha256: ['gggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggg']}\n  allow: []\n",
		"3:29: token_sha256 must be 64 hexadecimal digits, and has other characters",
	},
	{
		"token decimal", "callers:\n- name: a\n  identity: {token_sha256: [1111111111111111111111111111111111111111111111111111111111111111]}\n  allow: []\n",
		"3:29: token_sha256 must be 64 hexadecimal digits, in quotes, and is not",
	},
	{
		"token of nothing", "callers:\n- name: a\n  identity: {token_sha256: [e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855]}\n  allow: []\n",
		"3:29: token_sha256 is that of no token: all zeros, or the SHA-256 of nothing or of an empty line",
	},
	{
		"uid", "callers:\n- name: a\n  identity: {uid: [4294967295]}\n  allow: []\n",
		"3:20: uid must be a whole number from 0 to 4294967294, in decimal digits, and is 4294967295",
	},
	{
		"uid name", "callers:\n- name: a\n  identity: {uid: [root]}\n  allow: []\n",
		`3:20: uid must be a whole number from 0 to 4294967294, in decimal digits, and is "root"`,
	},
	{
		"only certificates", "callers:\n- name: a\n  identity: {tls_san: [a.example]}\n  allow: []\n",
		"3:13: the caller can never be known: it has tls_san alone, and no listener has tls with client_ca",
	},
	{
		"only uid", "callers:\n- name: a\n  identity: {uid: [1]}\n  allow: []\n",
		"3:13: the caller can never be known: it has uid alone, and no listener is a unix socket",
	},
	{
		"certificates and uid", "callers:\n- name: a\n  identity: {tls_san: [a.example], uid: [1]}\n  allow: []\n",
		"3:13: the caller can never be known: it has tls_san and uid, and no listener has tls with client_ca or is a unix socket",
	},
	{
		"no allow", "callers:\n- name: a\n  identity: {token_sha256: [" + token + "]}\n",
		`2:3: a caller needs the key "allow"`,
	},
	{
		"allow text", "callers:\n- name: a\n  identity: {token_sha256: [" + token + "]}\n  allow: 10.0.0.0/8:*\n",
		`4:10: allow must be a list, and is "10.0.0.0/8:*"`,
	},
	{
		"rule in brackets", "callers:\n- name: a\n  identity: {token_sha256: [" + token + "]}\n  allow:\n  - [2001:db8::1]\n",
		"5:5: a rule of allow must be text, and is a list: it may need quotes",
	},
	{
		"rule mapping", "callers:\n- name: a\n  identity: {token_sha256: [" + token + "]}\n  allow:\n  - 10.0.0.0/8: 443\n",
		"5:5: a rule of allow must be text, and is a mapping: it may need quotes",
	},
	{
		"CIDR", "callers:\n- name: a\n  identity: {token_sha256: [" + token + "]}\n  allow: [\"10.0.0.0/33:*\"]\n",
		`4:11: the rule "10.0.0.0/33:*": the length of a prefix is 0 to 32 here, in decimal digits (byte 9)`,
	},
	{
		"rule ports", "callers:\n- name: a\n  identity: {token_sha256: [" + token + "]}\n  allow: []\n  deny:\n  - 10.0.0.0/8:0\n",
		`6:5: the rule "10.0.0.0/8:0": the ports are *, or numbers of 1 to 65535 and ranges such as 1-1023, with commas between (byte 11)`,
	},
	{
		"watched", caller + "  limits: {watched: 0}\n",
		"5:21: watched must be a whole number from 1 to 10000000, in decimal digits, and is 0",
	},
	{
		"burst small", caller + "  limits: {probes_per_second: 1, burst: 0}\n",
		"5:41: burst must be a whole number from 1 to 1000000000, in decimal digits, and is 0",
	},
	{
		"burst alone", caller + "  limits: {burst: 256}\n",
		"5:19: burst limits nothing without probes_per_second",
	},
	{
		"outstanding", caller + "  limits: {outstanding: 0}\n",
		"5:25: outstanding must be a whole number from 1 to 10000000, in decimal digits, and is 0",
	},
	{
		"outstanding beyond", caller + "  limits: {outstanding: 10000001}\n",
		"5:25: outstanding must be a whole number from 1 to 10000000, in decimal digits, and is 10000001",
	},
	{
		"streams", caller + "  limits: {streams: 10001}\n",
		"5:21: streams must be a whole number from 1 to 10000, in decimal digits, and is 10001",
	},
	{
		"burst beyond", caller + "  limits: {probes_per_second: 1, burst: 1000000001}\n",
		"5:41: burst must be a whole number from 1 to 1000000000, in decimal digits, and is 1000000001",
	},
	{
		"limits number", "limits: 5\n",
		"1:9: limits must be a mapping, of keys to values, and is 5",
	},
	{
		"service burst", "limits: {probes_per_second: 1, burst: -1}\n",
		"1:39: burst must be a whole number from 1 to 1000000000, in decimal digits, and is -1",
	},
	{
		"service burst alone", "limits: {burst: 300}\n",
		"1:17: burst limits nothing without probes_per_second",
	},
	{
		"per_address", "limits: {per_address: {}}\n",
		`1:23: per_address needs the key "probes_per_second"`,
	},
	{
		"per_address burst", "limits: {per_address: {probes_per_second: 1, burst: 0}}\n",
		"1:53: burst must be a whole number from 1 to 1000000000, in decimal digits, and is 0",
	},
	{
		"per_prefix", "limits:\n  per_prefix: {ipv4: 24}\n",
		`2:15: per_prefix needs the key "probes_per_second"`,
	},
	{
		"ipv4", "limits: {per_prefix: {probes_per_second: 1, ipv4: 7}}\n",
		"1:51: ipv4 must be a whole number from 8 to 32, in decimal digits, and is 7",
	},
	{
		"ipv6", "limits: {per_prefix: {probes_per_second: 1, ipv6: 129}}\n",
		"1:51: ipv6 must be a whole number from 16 to 128, in decimal digits, and is 129",
	},
	{
		"ports", "limits: {ports_per_address: {ports: 129}}\n",
		"1:37: ports must be a whole number from 1 to 128, in decimal digits, and is 129",
	},
	{
		"no ports", "limits: {ports_per_address: {window: 1m}}\n",
		`1:29: ports_per_address needs the key "ports"`,
	},
	{
		"window", "limits: {ports_per_address: {ports: 1, window: 500ms}}\n",
		`1:48: window must be a duration from 1s to 24h, such as 10s or 1m30s, and is "500ms"`,
	},
	{
		"window beyond", "limits: {ports_per_address: {ports: 1, window: 25h}}\n",
		`1:48: window must be a duration from 1s to 24h, such as 10s or 1m30s, and is "25h"`,
	},
	{
		"error in what an alias stands for", "callers:\n- name: a\n  identity: {token_sha256: [" + token + "]}\n  allow: &r [x]\n  deny: *r\n",
		`4:14: the rule "x": the ports are missing: a rule is host:ports, the host an address, a prefix, a name, *.name or * (byte 1)`,
	},
	{
		"alias within itself", "callers: &a\n- *a\n",
		"1:10: a caller must be a mapping, of keys to values, and is a list",
	},
	{
		"deep", "rate: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n",
		"1:39: lists and mappings lie more than 32 deep in one another",
	},
}
