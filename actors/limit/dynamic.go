package limit

import "time"

const (
	permilleMin = 100 // a tenth of the limit
	raise       = 100 // permille per step
	lowerTo     = 700 // permille of what it was

	stepMin = time.Second

	failedMax    = 0.10 // share of calls
	assumedGood  = 10   // calls
	slowerBy     = 2    // times the usual latency
	usualSteps   = 60   // time constant of the usual latency
	patienceTime = time.Minute
)

// dynamic is the share of the limit that the service's state leaves. The package
// comment has the formula.
type dynamic struct {
	permille   int           // of the limit, 100 to 1000
	stepped    time.Duration // when the share was last judged
	ok, failed uint64        // since then
	usual      float64       // latency in good times, in nanoseconds; 0: not known
	floorSince time.Duration // since when the share is as low as it goes, while it is
}

func newDynamic(now time.Duration) dynamic { return dynamic{permille: 1000, stepped: now} }

// Adapt lowers or raises a dynamic limit by what the service did since the last
// call: how many attempts went well and how many failed, and the mean latency of the
// good ones, of these or over some seconds (0: not known). It judges once per step,
// a second or per if that is longer, and collects until then; [Rate.AdaptAt] says
// when. It reports whether the limit in force changed, so that somebody who waits
// may have to be let in earlier or later. It does nothing unless Dynamic is set.
func (r *Rate) Adapt(now time.Duration, ok, failed uint64, latency time.Duration) (changed bool) {
	if now < r.AdaptAt() {
		r.dynamic.ok += ok
		r.dynamic.failed += failed
		return false
	}
	r.dynamic.ok += ok
	r.dynamic.failed += failed
	before := r.limit
	r.dynamic.step(now, r.step(), float64(latency))
	r.setLimit()
	return r.limit != before
}

// AdaptAt returns when [Rate.Adapt] judges next: the moment to call it, also where
// nothing is sent, if somebody waits. The end of time if the limit is not dynamic.
func (r *Rate) AdaptAt() time.Duration {
	if !r.cfg.Dynamic || r.limit == 0 {
		return never
	}
	return r.dynamic.stepped + r.step()
}

func (r *Rate) step() time.Duration { return max(r.cfg.Per, stepMin) }

// step judges what was collected. One of several steps' length lowers once and raises
// as often as there are steps in it, so that a quiet service is given its rate back
// by the time that passed, whoever asks how often.
func (d *dynamic) step(now, length time.Duration, latency float64) {
	steps := int(min((now-d.stepped)/length, 1000/raise))
	switch calls := d.ok + d.failed; {
	case d.failing():
		d.lower(now)
	case calls > 0 && d.slow(latency):
		if d.permille == permilleMin && now-d.floorSince >= patienceTime {
			d.usual = latency // our load is not what slows it
		}
		d.lower(now)
	default:
		if calls > 0 && latency > 0 {
			d.learn(latency, steps)
		}
		d.permille = min(d.permille+steps*raise, 1000)
	}
	d.stepped = now
	d.ok, d.failed = 0, 0
}

func (d *dynamic) failing() bool {
	return float64(d.failed) > failedMax*float64(d.ok+d.failed+assumedGood)
}

func (d *dynamic) slow(latency float64) bool { return d.usual > 0 && latency > slowerBy*d.usual }

func (d *dynamic) lower(now time.Duration) {
	if d.permille > permilleMin {
		d.floorSince = now
	}
	d.permille = max(d.permille*lowerTo/1000, permilleMin)
}

func (d *dynamic) learn(latency float64, steps int) {
	if d.usual == 0 {
		d.usual = latency
	}
	d.usual += (latency - d.usual) * float64(steps) / usualSteps
}
