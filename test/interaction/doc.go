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
// in the trace count from the script's beginning. Everything that draws lots is off,
// so that a script always runs the same: the jitter of open times, waits and checks.
// So are the rare checks of a service without traffic.
//
// Commands:
//
//	service NAME KEY=VALUE …      begin; the keys are those of the file (see keys)
//	reload NAME KEY=VALUE …       another configuration for it, in full
//	fail E [N]                    the next N calls at endpoint E are answered 503
//	refuse E [N]                  … find no connection
//	stall E [N]                   … get no answer
//	answer E STATUS [AFTER] [N]   … get STATUS, with Retry-After
//	                              without N: until "up E"
//	down E, up E                  E answers 503; E is well again
//	check E good|bad|TIME [N]     what E's health check finds, or how long it takes
//	request NAME [N] [every D]    N requests, one after the other, D apart: GET, which
//	                              may be repeated
//	post NAME [N] [every D]       POST, which may not
//	advance D                     time passes
//	drain, maint, ready, force_open, force_close, reset E [REASON]
//	status NAME                   who may be picked and, if not, why not
//	remove NAME                   the service is over
//	events NAME N                 the newest N events; others are shown as they come,
//	                              but for those that the request lines tell
//
// More than 20 requests are only counted. After a change that is meant,
//
//	go test ./test/interaction -update
//
// writes down what comes of each command now; read the difference before you keep it.
package interaction
