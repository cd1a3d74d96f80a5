package server

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// TestRunIsGivenBack: a run that was charged for, and is broken off because its stream fails under it, is given back whole.
func TestRunIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Config{Prober: always(hanging()), Logger: quiet, Access: rated(t, 1e-3, 256)})
		if err != nil {
			t.Fatal(err)
		}
		work, err := s.newSession(t.Context(), &page{send: func(*tcpshakerv1.StreamCheckResponse) error { return context.Canceled }}, 0)
		if err != nil {
			t.Fatal(err)
		}
		all := &tcpshakerv1.CheckOptions{Attempts: 16}
		targets := []string{"x", "x", "x", "198.18.0.1:80"} // 16 each
		work.out.(*page).bytes = flushBytes                 // so that the first answer is sent at once
		_ = work.accept(targets, all)
		_ = work.run(nil)
		work.close()
		view := work.admission.View()
		if wait, err := view.ChargeService(256, time.Millisecond); err != nil || wait > 0 {
			t.Errorf("not all was given back: wait %v, %v", wait, err)
		}
	})
}
