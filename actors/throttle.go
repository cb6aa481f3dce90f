package actors

import (
	"time"

	"github.com/understudy-go/understudy/messages"
)

// This file is about an endpoint that is overrun on a fixed concurrency limit. A
// limit that admits any burst also admits a queue that nobody waits for to the end:
// every attempt times out, and the work that is done for nobody keeps it so after the
// cause is gone (test/metastability). So a fixed limit is, while there is trouble, the
// highest that an adaptive one may find:
//
//	       five attempts in a row are late; the breaker closes
//	fixed ────────────────────────────────────────────────────▶ adaptive, from half of what
//	      ◀────────────────────────────────────────────────────  is in flight, at least 10
//	       30 s in which nobody was late and nobody was refused
//
// Without a fixed limit there is none here either, and one that is adaptive already
// needs no help.

const (
	// lateRow is as many as open a breaker by default, so that a stray stall among good
	// answers throttles nobody. A single one refused a quarter of the bursts of 400 to a
	// healthy service with 0.1 % stalls; five in a row refused nobody.
	lateRow = 5

	// throttleMin is what a breaker that closes begins with: what it knows of the
	// endpoint is one answer, which may have waited behind work that nobody wants any
	// more. From 5, 10 and 20 about as many outages were not over in 30 s (2 of 320, 1
	// of 480, 1 of 320, test/metastability), so this is ours: half of what an adaptive
	// limit begins with.
	throttleMin = 10

	// throttleHold is half the breaker's peace, after which trouble is a new one. An
	// endpoint that needs the limit still is refusing, which prolongs it.
	throttleHold = 30 * time.Second
)

// throttle is what an endpoint knows of its being overrun.
type throttle struct {
	late   int           // attempts in a row
	needed time.Duration // when the lower limit last was
}

// watch looks whether the endpoint answers in time.
func (e *endpoint) watch(now time.Duration, r *result) {
	if !e.late(r) {
		if r.outcome == messages.Success && e.throttle.late > 0 {
			e.throttle.late = 0
		}
		return
	}
	e.throttle.late++
	if e.throttle.late < lateRow {
		return
	}
	e.throttle.late, e.throttle.needed = 0, now
	if e.adaptive == nil {
		e.throttleDown(now)
	}
}

// late reports whether the attempt timed out, or took more than half of the way from
// the usual latency there: a queue is seen before it costs an answer. An endpoint
// that is as slow as ever is not late.
func (e *endpoint) late(r *result) bool {
	if r.outcome != messages.Success {
		return r.outcome == messages.Timeout
	}
	timeout := e.settings.config.AttemptTimeout
	return timeout > 0 && 2*r.latency > timeout && // nearly no call
		2*r.latency > timeout+e.usual.Value()
}

// throttleDown puts an adaptive limit in the place of a fixed one, or of one that it
// put there before.
func (e *endpoint) throttleDown(now time.Duration) {
	c := e.settings.config.Concurrency
	if c.Adaptive || c.Max < 0 {
		return
	}
	c.Adaptive, c.Initial = true, max(e.inflight/2, throttleMin)
	e.adaptive, e.throttle = e.newAdaptive(c), throttle{needed: now}
}

// throttleUp gives the fixed limit back when nobody needed the lower one for a while.
func (e *endpoint) throttleUp(now time.Duration) {
	if !e.settings.config.Concurrency.Adaptive && now-e.throttle.needed >= throttleHold {
		e.adaptive = nil
	}
}
