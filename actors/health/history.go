package health

import (
	"math"
	"slices"
	"strings"
	"time"
)

const (
	historyMax = 100 // results kept per endpoint
	textsMax   = 8   // different texts kept
	textMax    = 120 // bytes of each

	atStep = 10 * time.Millisecond
)

// CheckResult is one check as the history keeps it.
type CheckResult struct {
	// At is when the result came in, in whole hundredths of a second.
	At time.Duration
	OK bool
	// Latency is how long the check took, in whole microseconds, at most 71
	// minutes.
	Latency time.Duration
	// Words say what came back. Empty too where the text is no longer kept.
	Words string
}

// history is the ring of the newest results. A thousand endpoints have a thousand
// of them, so a result takes 12 bytes and texts, which mostly repeat, are kept
// once.
type history struct {
	results  [historyMax]result
	texts    [textsMax]string
	next     uint8 // where the next result goes
	count    uint8
	nextText uint8 // where the next new text goes
}

type result struct {
	at           uint32 // in steps of 10 ms: 16 months
	microseconds uint32
	text         uint8 // place in texts, from 1; 0: none
	ok           bool
}

func (h *history) add(r CheckResult) {
	us := min(max(r.Latency.Microseconds(), 0), math.MaxUint32)
	h.results[h.next] = result{at: uint32(r.At / atStep), ok: r.OK, microseconds: uint32(us), text: h.keep(r.Words)}
	h.next = (h.next + 1) % historyMax
	h.count = min(h.count+1, historyMax)
}

// keep returns the place of the text, in that of the oldest one if it is new.
func (h *history) keep(text string) uint8 {
	if text == "" {
		return 0
	}
	if len(text) > textMax {
		const ellipsis = "…"
		text = strings.ToValidUTF8(text[:textMax-len(ellipsis)], "") + ellipsis
	}
	if i := slices.Index(h.texts[:], text); i >= 0 {
		return uint8(i) + 1
	}
	h.texts[h.nextText] = text
	h.nextText++
	place := h.nextText
	for i := range h.results {
		if h.results[i].text == place {
			h.results[i].text = 0
		}
	}
	h.nextText %= textsMax
	return place
}

// at returns the result that came in i results before the newest.
func (h *history) at(i int) CheckResult {
	r := h.results[(int(h.next)+2*historyMax-1-i)%historyMax]
	c := CheckResult{At: time.Duration(r.at) * atStep, OK: r.ok, Latency: time.Duration(r.microseconds) * time.Microsecond}
	if r.text > 0 {
		c.Words = h.texts[r.text-1]
	}
	return c
}

// newest returns the newest good or bad result; false if none is kept.
func (h *history) newest(ok bool) (CheckResult, bool) {
	for i := range int(h.count) {
		if c := h.at(i); c.OK == ok {
			return c, true
		}
	}
	return CheckResult{}, false
}

func (h *history) last(n int) []CheckResult {
	n = min(max(n, 0), int(h.count))
	all := make([]CheckResult, n)
	for i := range all {
		all[i] = h.at(n - 1 - i)
	}
	return all
}
