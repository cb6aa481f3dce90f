package actors

import (
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/understudy-go/understudy/actors/balance"
	"github.com/understudy-go/understudy/actors/breaker"
	"github.com/understudy-go/understudy/actors/retry"
	"github.com/understudy-go/understudy/messages"
)

// supervisorState is what a supervisor decides with. It stands in the service's
// cell, so that a new incarnation takes it up again.
type supervisorState struct {
	cells               []*endpointCell // in the order of registration; cell i is member i of the balancer
	byID                map[string]*endpointCell
	retired             map[string]*endpointCell // taken out, still draining
	balancer            *balance.Balancer
	budget              *retry.Budget
	admission           admission
	sweep               sweep
	toldKeyless         bool
	handed              uint64
	refusal             *messages.Error // why nobody can be picked; nil: look again
	until               time.Duration   // when that reason is over, 0: when something changes
	outageIn, outageOut bool            // half of the others are out, for who is eligible and who is not
	requests            uint64
	refused             uint64
	ended               counters // of endpoints that are gone, and of requests that ended with no attempt
	latest              time.Duration
	panics              failures
}

// supervisor is the actor of one service: it picks the endpoint for each
// acquisition and keeps the list. Endpoints are its children.
type supervisor struct {
	*serviceCell
	*supervisorState
	pids    map[*endpointCell]*actor.PID
	leaving leaving
}

// Messages that only this package sends to a supervisor.
type (
	endpointChanged struct {
		cell *endpointCell
		view endpointView
	}
	endpointDrained struct {
		cell     *endpointCell
		order    *drainOrder
		counters counters
	}
	unpark    struct{ cell *endpointCell }
	retireAll struct{} // the service is removed
	// requestOver tells of a request that ended without an attempt to carry it.
	requestOver struct{ end requestEnd }
	// listCells asks for the endpoints' cells.
	listCells struct{ reply chan<- cellList }
	cellList  struct {
		cells    []*endpointCell
		leaving  []*endpointCell // off the list, still draining
		requests uint64
		refused  uint64
		keyless  uint64
		handed   uint64 // how often an endpoint that drained has handed its counters over
		ended    counters
		inflight int // of those that leave
	}
	// change asks for a change of the list or of the configuration.
	change struct {
		register   *Endpoint
		update     bool // an endpoint of that id must be there
		deregister string
		settings   *settings
		reply      chan<- error
	}
)

// Receive implements actor.Actor.
func (s *supervisor) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *Acquire:
		s.acquire((*lease)(m))
	case *endpointChanged:
		s.changed(m)
	case *sampled:
		s.sampled(m)
	case *outlying:
		s.outlying(m)
	case *requestOver:
		s.requestOver(m.end)
	case *messages.Request:
		s.request(c, m)
	case *listCells:
		m.reply <- s.list()
	case *change:
		m.reply <- s.change(c, m)
	case *endpointDrained:
		s.drained(c, m)
	case *slotFree:
		s.letOut()
	case *retireAll:
		s.turnAwayWaiting()
		s.relist(nil)
		s.stopIfDone(c)
	case *unpark:
		s.unpark(c, m.cell)
	case *actor.Started:
		s.started(c)
	case *actor.Terminated:
		delete(s.leaving, m.Who.Id)
	case *actor.Stopped:
		s.mailbox.Close()
	}
}

// acquire picks an endpoint and forwards.
func (s *supervisor) acquire(l *lease) {
	if l.refusals == 0 && !(s.welcome(l) && (s.admission.rate == nil || l.only || s.admit(l))) {
		return
	}
	s.place(l)
}

// place picks an endpoint for an acquisition that may go out, and forwards it.
func (s *supervisor) place(l *lease) {
	if l.refusals >= maxRefusals {
		s.notPlaced(l, s.busy())
		return
	}
	i, err := s.pick(l)
	if err != nil {
		s.notPlaced(l, err)
		return
	}
	cell := s.cells[i]
	l.reserve = s.balancer.Panic() && s.balancer.Reserve(i)
	if l.only {
		l.cell, l.target = cell, cell.target.Load()
		l.answer()
		return
	}
	// What is left of this run goes along: a caller is never drafted for more.
	cell.mailbox.Post((*Acquire)(l), s.mailbox.Left())
}

// notPlaced refuses an acquisition that the rate limit had let out.
func (s *supervisor) notPlaced(l *lease, err *messages.Error) {
	if s.admission.rate != nil && !l.only {
		s.admission.rate.GiveBack(l.admitted)
	}
	s.refuse(l, err)
}

// welcome counts an acquisition that is new here, and asks the retry budget.
func (s *supervisor) welcome(l *lease) bool {
	s.latest = max(s.latest, l.at)
	if !l.only && !l.retry && !l.quiet {
		s.count(l)
	}
	if s.late(l, 0) {
		s.refuse(l, s.tooLate())
		return false
	}
	if l.only {
		return true
	}
	if l.charge && !s.budget.Allow(s.latest) {
		s.refuse(l, &messages.Error{Code: messages.CodeOverloaded, Service: s.name, Words: "the retry budget is used up"})
		return false
	}
	return true
}

func (s *supervisor) tooLate() *messages.Error {
	return &messages.Error{Code: messages.CodeTimeout, Service: s.name, Words: "the time was up before an endpoint was picked"}
}

// count counts a request at its first acquisition.
func (s *supervisor) count(l *lease) {
	l.welcomed = true
	s.requests++
	s.budget.Request(s.latest)
	if s.latest >= s.sweep.next || s.sweep.asked < len(s.cells) {
		s.advanceSweep()
	}
	if quiet := s.latest - time.Duration(s.traffic.Load()); quiet >= time.Second {
		s.traffic.Store(int64(s.latest))
		s.trafficBack(quiet)
	}
}

// trafficBack ends the rare checks of a service that saw no traffic for a while.
func (s *supervisor) trafficBack(quiet time.Duration) {
	if quiet < idleAfter {
		return
	}
	for _, c := range s.cells {
		c.mailbox.Post(traffic, nil)
	}
}

// pick runs the strategy. Only a user's strategy can panic or fail.
func (s *supervisor) pick(l *lease) (i int, err *messages.Error) {
	if s.refusal != nil && (s.until == 0 || s.latest < s.until) {
		return 0, s.refusalNow()
	}
	if l.key == "" && !s.toldKeyless && s.balancer.Keyless() > 0 {
		s.warnKeyless()
	}
	req := balance.Request{Key: l.key, Tried: l.tried, Retry: l.retry}
	var perr error
	if s.settings.Load().config.Hooks.Pick != nil {
		i, perr = s.pickCustom(req)
	} else {
		i, perr = s.balancer.Pick(s.latest, req)
	}
	switch {
	case perr == balance.ErrNobody:
		if i, ok := s.due(l); ok {
			return i, nil
		}
		return 0, s.nobody()
	case perr != nil:
		return 0, s.unable(perr)
	case l.fresh && contains(l.tried, s.cells[i].id):
		return 0, errAllTried
	}
	return i, nil
}

// warnKeyless says once that requests come without the key that the strategy goes by.
func (s *supervisor) warnKeyless() {
	s.toldKeyless = true
	s.sys.logger.Warn("requests come without a key, and the strategy goes by it: they go by p2c_ewma", "service", s.name)
}

// errAllTried sends the caller of a fresh acquisition into its wait.
var errAllTried = &messages.Error{Code: messages.CodeRetryExhausted, Words: "every endpoint was tried"}

func contains(ids []string, id string) bool {
	for _, x := range ids {
		if x == id {
			return true
		}
	}
	return false
}

func (s *supervisor) refuse(l *lease, err *messages.Error) {
	if err != errAllTried && !l.only {
		s.refused++
	}
	l.refuse(err)
}

// changed takes up what an endpoint says of itself.
func (s *supervisor) changed(m *endpointChanged) {
	m.cell.seen = m.view
	m.cell.ejecting = m.cell.ejecting && !m.view.ejected
	if s.byID[m.cell.id] == m.cell { // else taken out meanwhile
		s.settle(m.cell)
		s.tellPanic()
	}
}

// settle brings the balancer up to date with one endpoint, and the others when
// its leaving or coming back changes what half of them being out means.
func (s *supervisor) settle(cell *endpointCell) {
	s.refusal = nil
	status := cell.seen.status
	if cell.parked {
		status.Eligible, status.TrialDue, status.LastResort = false, false, false
	}
	s.balancer.SetStatus(cell.index, status)
	s.tellOutage(cell)
}

// tellOutage tells the endpoints whether half or more of the others are out
// here, in services of three or more. Only
// when that turns does every endpoint hear of it.
func (s *supervisor) tellOutage(cell *endpointCell) {
	in, out := s.outage(true), s.outage(false)
	if in == s.outageIn && out == s.outageOut {
		s.tell(cell)
		return
	}
	s.outageIn, s.outageOut = in, out
	for _, c := range s.cells {
		s.tell(c)
	}
}

// outage is what an endpoint sees of the others, itself eligible or not.
func (s *supervisor) outage(eligible bool) bool {
	n := s.balancer.Counts()
	others, out := n.Ready-1, n.Ready-n.Eligible
	if !eligible {
		out--
	}
	return n.Members >= 3 && others > 0 && 2*out >= others
}

func (s *supervisor) tell(c *endpointCell) {
	on := s.outageOut
	if c.seen.status.Eligible && !c.parked {
		on = s.outageIn
	}
	if on != c.outage {
		c.outage = on
		c.mailbox.Post(&setOutage{on}, nil)
	}
}

// due looks for an endpoint that is out only until a moment that has come: it will
// say so itself, but a caller that was told when to come back may be faster.
func (s *supervisor) due(l *lease) (int, bool) {
	for i, c := range s.cells {
		v := c.seen
		if v.until > 0 && v.until <= l.at && v.status.Ready && !v.sick && !c.parked && !contains(l.tried, c.id) {
			return i, true
		}
	}
	return 0, false
}

// nobody says why no endpoint can be picked, and remembers it until something changes.
func (s *supervisor) nobody() *messages.Error {
	var open, sick, cooling, ready int
	var until, patience time.Duration
	for _, c := range s.cells {
		v := c.seen
		if !v.status.Ready {
			continue
		}
		ready++
		switch {
		case c.parked || v.sick:
			sick++
			continue
		case v.cooling:
			cooling++
		case v.state != breaker.Closed:
			open++
		default:
			continue
		}
		if v.until > 0 && (until == 0 || v.until < until) {
			until = v.until
		}
		if v.patience > 0 && (patience == 0 || v.patience < patience) {
			patience = v.patience
		}
	}
	e := &messages.Error{Service: s.name, RetryAfter: patience}
	switch {
	case s.removed.Load():
		return s.gone()
	case len(s.cells) == 0:
		e.Code, e.Words = messages.CodeNoEndpoints, "no healthy endpoints: none is registered"
	case ready == 0:
		e.Code, e.Words = messages.CodeNoEndpoints, "no healthy endpoints: none is ready"
	case cooling > 0 && cooling == ready:
		e.Code, e.Words = messages.CodeRateLimited, "every endpoint asked for a pause"
	case open > 0 && sick == 0:
		e.Code, e.Words = messages.CodeCircuitOpen, "circuit open"
	default:
		e.Code = messages.CodeAllEndpointsDown
		e.Words = fmt.Sprintf("no healthy endpoints: %d of %d unhealthy, %d open", sick, ready, open)
	}
	s.refusal, s.until = e, until
	return s.refusalNow()
}

// refusalNow is the remembered reason with the time that is left.
func (s *supervisor) refusalNow() *messages.Error {
	e := *s.refusal
	if s.until > 0 {
		e.RetryAfter = max(s.until-s.latest, time.Millisecond)
	}
	return &e
}

// busy is the reason after several endpoints turned an acquisition down though
// they looked eligible: they are full.
func (s *supervisor) busy() *messages.Error {
	return &messages.Error{Code: messages.CodeOverloaded, Service: s.name, Words: "every endpoint that was asked is at its limit"}
}

func (s *supervisor) requestOver(end requestEnd) {
	switch end {
	case requestSucceeded:
		s.ended.succeeded++
	case requestFailed:
		s.ended.failed++
	case requestCanceled:
		s.ended.canceled++
	}
}

// pickCustom runs a user's strategy, whose panic costs this request alone.
func (s *supervisor) pickCustom(req balance.Request) (i int, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = panicked("Pick", r)
		}
	}()
	return s.balancer.Pick(s.latest, req)
}

// unable is the error of a strategy that could not pick though there was somebody.
func (s *supervisor) unable(err error) *messages.Error {
	e := messages.Error{Code: messages.CodeInternal, Err: err}
	var known *messages.Error
	if errors.As(err, &known) {
		e = *known
	}
	e.Service = s.name
	return &e
}
