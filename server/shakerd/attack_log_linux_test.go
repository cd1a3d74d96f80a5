//go:build !race

package main

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/grpc/metadata"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// hostileTexts are texts that would end a line, begin another, or move a terminal's cursor, if a log held them as they are.
var hostileTexts = []string{
	"x\n{\"level\":\"ERROR\",\"msg\":\"forged\"}",
	"x\r\ntime=2026-01-01T00:00:00Z level=ERROR msg=forged",
	"x\" msg=forged \"",
	"x\",\"msg\":\"forged\",\"y\":\"",
	"x\x1b[2J\x1b]0;forged\x07",
	"x\u009b2J", // CSI, as one character
	"x\u0085msg=forged",
	"x\u2028msg=forged",
	"x\u202egninnur", // right to left
	"x\xff\xfe\xc3",
	"x\x00y",
	"x%0amsg=forged",
	`x\nmsg=forged`,
	strings.Repeat("x", 12<<10),
}

// TestLogInjection: whatever callers send, with an identity or without, each line of the log is one event, and all of it can be
// shown.
func TestLogInjection(t *testing.T) {
	formats := map[string]func(l string) bool{
		"json": func(l string) bool { return json.Valid([]byte(l)) && l[0] == '{' && strings.Count(l, `"msg":`) == 1 },
		"text": regexp.MustCompile(`^time=\S+ level=[A-Z]+ msg=("[^"]*"|\S+)( |$)`).MatchString,
	}
	events := make(map[string]int)
	for format, well := range formats {
		t.Run(format, func(t *testing.T) {
			p := newPlace(t)
			p.log, p.extra = format, "audit: probes\nlog_level: debug\n"
			p.configure(p.config())
			s := p.serve()
			s.injectByFrames(t, "")
			s.injectByFrames(t, evilToken)
			s.injectByTargets(t)
			s.log.await(t, 0, "the-end")
			lines := s.log.from(0)
			for _, l := range lines {
				if !well(l) {
					t.Errorf("no event of its own: %.300q", l)
				}
				if len(l) > 4096 {
					t.Errorf("a line of %d bytes: %.300q", len(l), l)
				}
				if !utf8.ValidString(l) || strings.ContainsFunc(l, func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Errorf("not to be shown: %.300q", l)
				}
			}
			events[format] = len(lines)
			t.Logf("%d lines", len(lines))
		})
	}
	if events["json"] != events["text"] || events["json"] < len(hostileTexts) {
		t.Errorf("%v lines, want as many in each form", events)
	}
}

// injectByFrames sends hostile headers and methods as no library would, one connection for each, since HTTP/2 may end it.
func (s *served) injectByFrames(t *testing.T, token string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, text := range hostileTexts {
		f, err := s.dialFrames(ctx, token)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []uint32{
			f.open(checkMethod, "x-request-id", text),
			f.open("/tcpshaker.v1.ShakerService/" + text),
			f.open("/" + text + "/Check"),
			f.open(text),
			f.open(checkMethod, "user-agent", text, "x-forwarded-for", text, "grpc-timeout", text),
			f.open(healthMethod, "authorization", text),
			f.open(healthMethod, "authorization", "Bearer "+text),
			f.open(healthMethod, "authorization", "Bearer "+text, "authorization", text),
		} {
			_ = f.framer.WriteData(id, true, requestOf(text[:min(len(text), 200)], 1))
		}
		_ = f.flush()
		f.awaitAll(ctx, 8)
		f.close()
	}
}

// awaitAll waits until so many streams are over, or the connection is.
func (f *frames) awaitAll(ctx context.Context, n int) {
	for {
		over, moved := f.ended()
		if over >= n {
			return
		}
		select {
		case <-moved:
		case <-f.gone:
			return
		case <-ctx.Done():
			return
		}
	}
}

// injectByTargets makes hostile texts targets of a Check by the evil caller; and then the last line of the log.
func (s *served) injectByTargets(t *testing.T) {
	t.Helper()
	client := tcpshakerv1.NewShakerServiceClient(s.dial(evilPeer, evilToken))
	var targets []string
	for _, text := range hostileTexts {
		if utf8.ValidString(text) {
			targets = append(targets, text, text+":80", "127.0.0.1:"+text, "[fe80::1%"+text+"]:80", text+s.address, s.address+text)
		}
	}
	targets = append(targets, s.address, s.place.denied.Addr().String())
	s.checkAs(t, client, strings.Repeat("y", 200), targets)
	s.checkAs(t, client, "a-valid-one", targets)
	s.checkAs(t, client, "the-end", []string{"no target"}) // one line, when all others have been written
}

func (s *served) checkAs(t *testing.T, client tcpshakerv1.ShakerServiceClient, id string, targets []string) {
	t.Helper()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request-id", id)
	if _, err := client.Check(ctx, &tcpshakerv1.CheckRequest{Targets: targets}); err != nil {
		t.Fatal(err)
	}
}
