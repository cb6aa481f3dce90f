package breaker

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/check"
)

// model is the breaker told naively: it keeps every call and every permit and looks
// through them whenever it is asked.
type model struct {
	cfg    Config
	state  State
	forced bool
	outage bool
	epoch  uint32

	seen []seen             // calls since the last close
	row  []messages.Outcome // failures since the last success
	out  []Permit           // permits not returned yet, of every epoch

	opened   time.Duration // when it did
	lasts    time.Duration // how long from then on
	openings int           // since the last peace
	closed   time.Duration // when a trial last closed it
	good     int           // trials of this half-open state
}

type seen struct {
	at      time.Duration
	outcome messages.Outcome
	slow    bool
}

func (m *model) enter(s State) {
	m.state, m.forced, m.good = s, false, 0
	m.epoch++
	if s == Closed {
		m.seen, m.row = nil, nil
	}
}

func (m *model) trialsOut() (n int) {
	for _, p := range m.out {
		if p.Epoch == m.epoch && p.Trial {
			n++
		}
	}
	return n
}

func (m *model) admits(now time.Duration) bool {
	switch {
	case m.state == Closed:
		return true
	case m.forced:
		return false
	case m.state == Open:
		return m.due(now)
	}
	return m.trialsOut() < m.cfg.HalfOpenMaxCalls
}

func (m *model) due(now time.Duration) bool {
	return m.state == Open && !m.forced && now-m.opened >= m.lasts
}

func (m *model) acquire(now time.Duration) (Permit, bool) {
	if !m.admits(now) {
		return Permit{}, false
	}
	if m.state == Open {
		m.enter(HalfOpen)
	}
	p := Permit{Epoch: m.epoch, Trial: m.state == HalfOpen}
	m.out = append(m.out, p)
	return p, true
}

// record takes back the i-th permit that is out.
func (m *model) record(now time.Duration, i int, o messages.Outcome, latency time.Duration, rnd float64) {
	p := m.out[i]
	m.out = append(m.out[:i:i], m.out[i+1:]...)
	if p.Epoch != m.epoch || o == messages.Ignored || m.cfg.Disabled {
		return
	}
	slow := m.cfg.SlowCall > 0 && latency > m.cfg.SlowCall
	m.seen = append(m.seen, seen{now, o, slow})
	if o == messages.Success {
		m.row = nil
	} else {
		m.row = append(m.row, o)
	}
	switch {
	case m.forced:
	case p.Trial && (o != messages.Success || slow && m.cfg.SlowCallRate > 0):
		m.open(now, rnd)
	case p.Trial:
		if m.good++; m.good == m.cfg.SuccessThreshold {
			m.enter(Closed)
			m.closed = now
		}
	case (o != messages.Success || slow) && m.mustOpen(now):
		if m.openings > 0 && now-m.closed >= max(time.Minute, m.openTime()) {
			m.openings = 0
		}
		m.open(now, rnd)
	}
}

// openTime is how long the last opening was meant to last.
func (m *model) openTime() time.Duration {
	d := m.cfg.OpenTimeout
	for range m.openings - 1 {
		d *= 2
		if d >= m.cfg.OpenTimeoutMax {
			return m.cfg.OpenTimeoutMax
		}
	}
	return d
}

func (m *model) open(now time.Duration, rnd float64) {
	m.enter(Open)
	m.openings++
	m.opened, m.lasts = now, m.openTime()
	if m.cfg.Jitter > 0 {
		m.lasts += time.Duration(float64(m.lasts) * m.cfg.Jitter * rnd)
	}
}

func (m *model) mustOpen(now time.Duration) bool {
	n := m.counts(now)
	if m.breaks(n.ConsecutiveNoAnswer, n.NoAnswer, n.Slow, n.Calls, 1) {
		return true
	}
	if m.outage {
		return m.breaks(n.Consecutive, n.Failures, n.Slow, n.Calls, 2)
	}
	return m.breaks(n.Consecutive, n.Failures, n.Slow, n.Calls, 1)
}

// breaks: failures in a row and in the window against the thresholds times a factor.
func (m *model) breaks(inARow, failures, slow, calls, times int) bool {
	rate := func(n int, limit float64, least int) bool {
		return limit > 0 && calls >= least && float64(n)/float64(calls) >= limit
	}
	return m.cfg.FailureThreshold > 0 && inARow >= m.cfg.FailureThreshold*times ||
		rate(failures, m.cfg.FailureRate, m.cfg.MinCalls*times) ||
		m.cfg.SlowCall > 0 && rate(slow, m.cfg.SlowCallRate, m.cfg.MinCalls)
}

func (m *model) counts(now time.Duration) (n Counts) {
	n.Consecutive = len(m.row)
	for _, o := range m.row {
		if o != messages.Failure {
			n.ConsecutiveNoAnswer++
		}
	}
	step := m.cfg.Window / 40
	for _, s := range m.seen {
		if now/step-s.at/step >= 40 {
			continue
		}
		n.Calls++
		if s.outcome != messages.Success {
			n.Failures++
			if s.outcome != messages.Failure {
				n.NoAnswer++
			}
		}
		if s.slow {
			n.Slow++
		}
	}
	return n
}

func drawConfig(t *rapid.T) Config {
	return Config{
		Disabled:         rapid.IntRange(0, 19).Draw(t, "disabled") == 19,
		FailureThreshold: rapid.SampledFrom([]int{0, 1, 2, 3, 8, off}).Draw(t, "failure_threshold"),
		FailureRate:      rapid.SampledFrom([]float64{0, 0.1, 0.5, 1, off}).Draw(t, "failure_rate"),
		MinCalls:         rapid.SampledFrom([]int{0, 1, 4, 10}).Draw(t, "min_calls"),
		Window:           rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute}).Draw(t, "window"),
		SlowCall:         rapid.SampledFrom([]time.Duration{0, time.Second}).Draw(t, "slow_call"),
		SlowCallRate:     rapid.SampledFrom([]float64{0, 0.3, off}).Draw(t, "slow_call_rate"),
		OpenTimeout:      rapid.SampledFrom([]time.Duration{0, time.Second, 90 * time.Second}).Draw(t, "open_timeout"),
		OpenTimeoutMax:   rapid.SampledFrom([]time.Duration{0, 200 * time.Second}).Draw(t, "open_timeout_max"),
		Jitter:           rapid.SampledFrom([]float64{0, 1, off}).Draw(t, "jitter"),
		HalfOpenMaxCalls: rapid.SampledFrom([]int{0, 2, 5}).Draw(t, "half_open_max_calls"),
		SuccessThreshold: rapid.SampledFrom([]int{0, 2, 4}).Draw(t, "success_threshold"),
	}
}

// pair runs breaker and model side by side.
type pair struct {
	t   *rapid.T
	now time.Duration
	b   *Breaker
	m   *model
}

func (p *pair) acquire() {
	before, admits := *p.b, p.b.Admits(p.now)
	check.Equal(p.t, before, *p.b, "Admits changes nothing")
	got, ok := p.b.Acquire(p.now)
	want, wantOK := p.m.acquire(p.now)
	check.Equal(p.t, wantOK, ok)
	check.Equal(p.t, want, got)
	check.Equal(p.t, admits, ok, "Admits foretells Acquire")
	if !ok {
		check.Equal(p.t, before, *p.b, "a refusal changes nothing")
	}
	check.Holds(p.t, !ok || !got.Trial || p.m.trialsOut() <= p.m.cfg.HalfOpenMaxCalls, "trials ≤ limit")
}

func (p *pair) record(i int, o messages.Outcome) {
	permit, before := p.m.out[i], *p.b
	latency := rapid.SampledFrom([]time.Duration{0, time.Second, time.Second + 1}).Draw(p.t, "latency")
	rnd := rapid.Float64Range(0, 0.999).Draw(p.t, "rnd")
	p.b.Record(p.now, permit, o, latency, rnd)
	p.m.record(p.now, i, o, latency, rnd)
	if permit.Epoch != before.epoch {
		check.Equal(p.t, before, *p.b, "a stale epoch changes nothing")
	}
	check.Holds(p.t, before.epoch == p.b.epoch || permit.Trial || o.Failed() || latency > time.Second, "a quick success moves no closed breaker")
}

// step does one thing. Long runs of the same come from burst.
func (p *pair) step() {
	t := p.t
	outcome := rapid.SampledFrom([]messages.Outcome{ignored, success, success, failure, failure, timeout, refused})
	switch rapid.SampledFrom([]string{"wait", "wait", "until", "until", "acquire", "acquire", "record", "record", "burst", "burst", "burst", "outage", "hasten", "operator", "reload"}).Draw(t, "step") {
	case "wait":
		p.now += rapid.SampledFrom([]time.Duration{1, 30 * time.Millisecond, time.Second, 59 * time.Second, 90 * time.Second}).Draw(t, "wait")
	case "until":
		p.now = max(p.now, p.b.OpenUntil()-time.Duration(rapid.IntRange(0, 1).Draw(t, "early")))
	case "acquire":
		for range rapid.IntRange(1, 7).Draw(t, "calls") {
			p.acquire()
		}
	case "record":
		if n := len(p.m.out); n > 0 {
			p.record(rapid.IntRange(0, n-1).Draw(t, "permit"), outcome.Draw(t, "outcome"))
		}
	case "burst":
		o := outcome.Draw(t, "outcome")
		for range rapid.IntRange(1, 12).Draw(t, "calls") {
			had := len(p.m.out)
			p.acquire()
			if len(p.m.out) > had {
				p.record(had, o)
			}
		}
	case "outage":
		p.m.outage = rapid.Bool().Draw(t, "outage")
		p.b.SetOutage(p.m.outage)
	case "hasten":
		p.b.Hasten(p.now)
		if p.m.state == Open && p.m.opened+p.m.lasts > p.now {
			p.m.lasts = p.now - p.m.opened
		}
	case "operator":
		p.operator()
	case "reload":
		p.reload()
	}
}

func (p *pair) operator() {
	switch rapid.SampledFrom([]string{"nothing", "force open", "force closed", "reset", "reset"}).Draw(p.t, "order") {
	case "force open":
		p.b.ForceOpen()
		p.m.enter(Open)
		p.m.forced = true
	case "force closed":
		p.b.ForceClosed()
		p.m.enter(Closed)
		p.m.forced = true
	case "reset":
		p.b.Reset()
		p.m.enter(Closed)
		p.m.openings = 0
	}
}

// reload changes what a naive model can follow; TestConfigure has the rest.
func (p *pair) reload() {
	cfg := p.m.cfg
	cfg.Disabled = rapid.IntRange(0, 4).Draw(p.t, "disabled") == 4
	cfg.FailureThreshold = rapid.SampledFrom([]int{1, 5, off}).Draw(p.t, "failure_threshold")
	cfg.MinCalls = rapid.SampledFrom([]int{1, 20}).Draw(p.t, "min_calls")
	p.b.Configure(cfg)
	p.m.cfg = cfg
	if cfg.Disabled && !p.m.forced {
		p.m.openings, p.m.seen, p.m.row = 0, nil, nil
		if p.m.state != Closed {
			p.m.enter(Closed)
		}
	}
}

func (p *pair) compare() {
	t, b, m := p.t, p.b, p.m
	check.Equal(t, m.state, b.State())
	check.Equal(t, m.epoch, b.Epoch())
	check.Equal(t, m.admits(p.now), b.Admits(p.now))
	check.Equal(t, m.due(p.now), b.Due(p.now))
	check.Equal(t, m.counts(p.now), b.Counts(p.now))
	check.Equal(t, b.Admits(p.now), b.RetryAfter(p.now) == 0, "retry_after says whether it admits")
	check.Equal(t, m.trialsOut(), b.trials, "permits neither leak nor appear")
	check.Equal(t, m.good, b.succeeded)
	if m.state == Open && !m.forced {
		check.Equal(t, m.opened+m.lasts, b.OpenUntil())
		check.Holds(t, b.Admits(b.OpenUntil()) && !b.Admits(b.OpenUntil()-1), "open admits nothing before its time")
		check.Equal(t, max(0, b.OpenUntil()-p.now), b.RetryAfter(p.now))
	} else {
		check.Equal(t, 0, b.OpenUntil())
	}
}

func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawConfig(t)
		p := &pair{t: t, now: 0, b: New(cfg), m: &model{cfg: cfg.WithDefaults(), epoch: 1}}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			p.step()
			p.compare()
		}
		for len(p.m.out) > 0 {
			p.record(0, messages.Ignored)
			p.compare()
		}
		check.Holds(t, p.b.State() != HalfOpen || p.b.Admits(p.now), "with every permit back there is a trial to be had")
	})
}

// What the window holds depends on the time alone, not on who looked when.
func TestLookingChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		quiet, looked := newWindow(time.Second), newWindow(time.Second)
		var now time.Duration
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			now += time.Duration(rapid.IntRange(0, int(1200*time.Millisecond)).Draw(t, "wait"))
			looked.turn(now)
			if rapid.Bool().Draw(t, "call") {
				quiet.add(now, tally{calls: 1})
				looked.add(now, tally{calls: 1})
			}
		}
		quiet.turn(now)
		looked.turn(now)
		check.Equal(t, looked.sum, quiet.sum)
		check.Equal(t, looked.end, quiet.end)
	})
}
