// Package interaction runs scripts, which are the specification to read first:
// testdata/*.txt, each a story of a service whose endpoints fail and recover. A
// script has a command per line and, indented beneath it, what came of it:
//
//	# After two failures in a row the breaker opens.
//	service orders strategy=round_robin endpoints=a,b failure_threshold=2
//	fail a 2
//	request orders 3
//	    a fails (status 503), b serves
//	    a fails (status 503), b serves
//	        0s a circuit_open: 2 failures in a row, last: status 503; until 5s
//	    served by b
//
// Time is virtual: it passes in "advance" and where a request waits, and the moments
// in the trace count from the script's beginning, when the system has been there for a
// minute. Everything that draws lots is off, so that a script always runs the same: the
// jitter of open times, ejections, waits and checks. So are the rare checks of a service
// without traffic. What happens at one moment by several timers has no order of its own: a
// script must not depend on it.
//
// Commands:
//
//	service NAME KEY=VALUE …      begin; the keys are those of the file (see keys)
//	reload NAME KEY=VALUE …       another configuration for it, in full
//	fail E [N]                    the next N calls at endpoint E are answered 503
//	refuse E [N]                  … find no connection
//	stall E [N]                   … get no answer
//	slow E D [N]                  … are answered well, after D
//	answer E STATUS [AFTER] [N]   … get STATUS, with Retry-After
//	                              without N: until "up E"
//	flaky E N                     each N-th call at E is answered 503, until "up E"
//	down E, up E                  E answers 503; E is well again
//	check E good|bad|refused|TIME [N]
//	                              what E's health check finds, or how long it takes
//	request NAME [N] [every D]    N requests, one after the other, D apart: GET, which
//	                              may be repeated
//	post NAME [N] [every D]       POST, which may not
//	burst NAME N                  N requests, GET, at the same moment; each line begins
//	                              with the moment of the answer
//	advance D                     time passes
//	drain, maint, ready, force_open, force_close, reset E [REASON]
//	status NAME                   who may be picked and, if not, why not
//	stats NAME                    what the service has counted
//	remove NAME                   the service is over
//	events NAME N                 the newest N events; others are shown as they come,
//	                              but for those that the request lines tell
//
// A request line tells of each call that reached an endpoint, in the order in which they
// began: "beside it" is one that began while the one before was under way, and "called
// off" one whose answer nobody waits for any more. "cache" is who served what was kept,
// and "cache(stale)" what was no longer fresh. More than 20 requests are only counted.
//
// After a change that is meant,
//
//	go test ./test/interaction -update
//
// writes down what comes of each command now; read the difference before you keep it.
package interaction
