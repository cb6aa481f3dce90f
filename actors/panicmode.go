package actors

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/understudy-go/understudy/messages"
)

// PanicThreshold is the share of a service's ready endpoints below which, when
// fewer are eligible, panic mode is on: health and ejections are ignored. Above 0,
// at most 1. Zero, in a file last_resort: only when none is eligible; Off: never.
//
// Panic mode never takes in an open breaker, an operator's word, an endpoint to which
// by the latest evidence no connection can be made, one that fails a check with
// `readiness: true`, and one before its first check. The idea and the name are Envoy's,
// whose threshold is 50 %: it then balances over all hosts.
type PanicThreshold float64

const lastResort = "last_resort"

// UnmarshalText reads last_resort, off, and a share as 30% or 0.3.
func (p *PanicThreshold) UnmarshalText(b []byte) error {
	text := string(b)
	switch strings.ToLower(text) {
	case lastResort:
		*p = 0
		return nil
	case "off", "none", "false", "-1":
		*p = Off
		return nil
	}
	number, percent := strings.CutSuffix(text, "%")
	number = strings.TrimSpace(number)
	if percent {
		number += "e-2" // 29 / 100 would be a hair off
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || !(f > 0 && f <= 1) {
		return fmt.Errorf("%.40q is none of last_resort, off, and a share above 0%% and at most 100%%", text)
	}
	*p = PanicThreshold(f)
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (p PanicThreshold) MarshalText() ([]byte, error) {
	switch p {
	case 0:
		return []byte(lastResort), nil
	case Off:
		return []byte("off"), nil
	}
	return []byte(strconv.FormatFloat(100*float64(p), 'g', 12, 64) + "%"), nil
}

func (p PanicThreshold) validate() error {
	if p == Off || p >= 0 && p <= 1 {
		return nil
	}
	return fmt.Errorf("panic_threshold: must be above 0%% and at most 100%%, last_resort or off")
}

// tellPanic says aloud when panic mode begins and ends.
func (s *supervisor) tellPanic() {
	on := s.balancer.Panic()
	if on == s.panicking.Load() {
		return
	}
	s.panicking.Store(on)
	n := s.balancer.Counts()
	kind, words := messages.KindPanicEnded, "enough endpoints are well again"
	if n.Ready == 0 {
		words = "nobody is left to try"
	}
	if on {
		kind, words = messages.KindPanicStarted, "health and ejections are ignored"
	}
	s.emitNow(kind, "", fmt.Sprintf("%d of %d ready endpoints are eligible: %s", n.Eligible, n.Ready, words))
}
