package actors

import (
	"math"
	"time"

	"github.com/understudy-go/understudy/actors/outlier"
	"github.com/understudy-go/understudy/messages"
)

// Outlier detection. The supervisor compares its endpoints once per interval and
// decides who is ejected, because it alone knows how many may be; each endpoint owns
// its ejection.
//
//	supervisor ──takeSample──▶ endpoints ──sampled──▶ supervisor ──eject──▶ endpoint

// sweepStep is how many endpoints one request's acquisition asks for their sample,
// so that none pays for all of them.
const sweepStep = 64

// never is a moment that does not come.
const never = time.Duration(math.MaxInt64)

// sweep is the supervisor's comparison of its endpoints. It goes by requests: where
// there are none, there is nothing to compare.
type sweep struct {
	next     time.Duration // when the next one begins; 0: not planned yet
	round    uint32
	asked    int // endpoints of this round that were asked, in the order of the list
	waiting  int // answers that are out
	samples  []outlier.Sample
	findings []outlier.Finding
}

type (
	takeSample struct{ round uint32 }
	sampled    struct {
		cell   *endpointCell
		round  uint32
		sample outlier.Sample
	}
	// outlying tells of failures in a row.
	outlying struct {
		cell *endpointCell
		why  string
	}
	eject struct{ why string }
)

// planSweep begins a new round: the list or the configuration has changed.
func (s *supervisor) planSweep() {
	c := &s.settings.Load().config.Outlier
	s.sweep.round++
	s.sweep.asked, s.sweep.waiting = len(s.cells), 0
	if due := s.latest + c.Interval; s.sweep.next == 0 || s.sweep.next > due {
		s.sweep.next = due // else as it was: a list that changes often is swept too
	}
	if c.Disabled || len(s.cells) < min(c.SuccessRateHosts, c.FailurePercentageHosts) {
		s.sweep.next = never
	}
}

// advanceSweep asks the next endpoints of the sweep that is under way, or begins one
// that is due.
func (s *supervisor) advanceSweep() {
	w := &s.sweep
	if s.latest >= w.next {
		w.round++
		w.next = s.latest + s.settings.Load().config.Outlier.Interval
		w.asked, w.waiting = 0, 0
		w.samples = append(w.samples[:0], make([]outlier.Sample, len(s.cells))...)
	}
	for range min(sweepStep, len(s.cells)-w.asked) {
		cell := s.cells[w.asked]
		w.asked++
		if cell.parked {
			w.samples[cell.index].Out = true
			continue
		}
		w.waiting++
		cell.mailbox.Post(&takeSample{w.round}, nil)
	}
}

// sampled takes an answer; the last one decides.
func (s *supervisor) sampled(m *sampled) {
	w := &s.sweep
	if m.round != w.round || w.waiting == 0 {
		return // of a list that is no more
	}
	m.sample.Out = !m.cell.seen.status.Ready || m.cell.seen.ejected
	w.samples[m.cell.index] = m.sample
	if w.waiting--; w.waiting > 0 || w.asked < len(s.cells) {
		return
	}
	w.findings = outlier.Sweep(w.samples, s.settings.Load().config.Outlier, w.findings)
	room := s.ejectionRoom()
	for _, f := range w.findings[:min(len(w.findings), room)] {
		s.eject(s.cells[f.Index], f.Why)
	}
}

// outlying ejects an endpoint that failed in a row, if one may go.
func (s *supervisor) outlying(m *outlying) {
	if s.byID[m.cell.id] == m.cell && !m.cell.seen.ejected && !m.cell.ejecting && s.ejectionRoom() > 0 {
		s.eject(m.cell, m.why)
	}
}

func (s *supervisor) eject(c *endpointCell, why string) {
	c.ejecting = true
	c.mailbox.Post(&eject{why}, nil)
}

// ejectionRoom is how many more endpoints may be ejected now.
func (s *supervisor) ejectionRoom() int {
	n, ejected := s.balancer.Counts(), 0
	for _, c := range s.cells {
		switch {
		case c.ejecting:
			ejected++
			n.Eligible--
		case c.seen.ejected:
			ejected++
		}
	}
	return outlier.Room(n.Ready, n.Eligible, ejected, s.settings.Load().config.Outlier)
}

// sample tells what this endpoint did since it was asked last.
func (e *endpoint) sample(m *takeSample) {
	c, known := &e.counters, &e.sampled
	e.service.mailbox.Post(&sampled{e.endpointCell, m.round, outlier.Sample{
		Successes: c.successes - known.successes, Failures: c.failures - known.failures}}, nil)
	*known = sampledUpTo{c.successes, c.failures}
}

// inARow counts failures in a row, for services whose breaker does not.
func (e *endpoint) inARow(o messages.Outcome, consecutive int) {
	if why := e.row.Record(o, consecutive); why != "" {
		e.service.mailbox.Post(&outlying{e.endpointCell, why}, nil)
	}
}

// eject leaves this endpoint out for a while, as the supervisor decided.
func (e *endpoint) eject(why string) {
	now := e.advance(e.service.sys.clock.now())
	if e.ejected {
		return
	}
	sys := e.service.sys
	until := e.ejection.Eject(now, why, e.settings.config.Outlier, sys.random())
	e.ejected = true
	e.emit(now, messages.KindEndpointEjected, messages.Cause{Words: why + e.last(), LastError: e.lastError, Until: sys.clock.wall(until)})
	e.wakeBy(until)
	e.publish(now)
}

// comeBack ends an ejection whose time is over.
func (e *endpoint) comeBack(now time.Duration, words string) {
	if !e.ejected {
		return
	}
	if e.ejection.Ejected(now) {
		e.wakeBy(e.ejection.Until())
		return
	}
	e.ejected = false
	e.row = 0
	e.warmSince = now
	e.emit(now, messages.KindEndpointReturned, messages.Cause{Words: words})
}
