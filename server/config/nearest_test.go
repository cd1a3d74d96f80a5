package config

import "testing"

// TestNearest: one or two slips are seen through, another word is not.
func TestNearest(t *testing.T) {
	for key, want := range map[string]string{
		"listen": "listen", "lsiten": "listen", "listens": "listen", "metrics-listen": "metrics_listen", "label": "labels",
		"max-in-flight": "max_in_flight", "maxInFlight": "max_in_flight", "caller": "callers", "Rate": "rate", "tare": "",
		"allow": "", "": "", "x": "", "loglevel": "log_level",
	} {
		if got := nearest(key, Keys()); got != want {
			t.Errorf("%q: %q, want %q", key, got, want)
		}
	}
}

// TestKeysFit: maxKey is what it says.
func TestKeysFit(t *testing.T) {
	for _, keys := range [][]string{
		Keys(), namesOf(listenerFields), namesOf(tlsFields), namesOf(callerFields), namesOf(identityFields),
		namesOf(callerLimitsFields), namesOf(limitsFields), namesOf(perPrefixFields), namesOf(portsFields),
	} {
		for _, key := range keys {
			if len(key) > maxKey {
				t.Errorf("%s is longer than maxKey", key)
			}
		}
	}
}
