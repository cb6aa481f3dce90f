// Package understudytest is what a program that embeds Understudy tests with: a
// clock moved by hand, and endpoints with errors to order.
//
//	clock := understudytest.NewClock()
//	us, err := understudy.New(understudy.Config{}, understudy.WithClock(clock))
//
//	server := understudytest.Good(t)   // also Faulty, Flaky, Slow, BlackHole, Serve
//	server.Break(503)                  // from now on; Stall, Drop, Heal
//	server.Hits()                      // what arrived; Requests has the newest ones
//	understudytest.Dead(t)             // a URL where connections are refused
//
//	understudytest.Trip(t, service, "orders-1")   // its breaker, by hand
//	understudytest.Heal(t, service, "orders-1")
//
// With a [Clock] nothing needs to sleep: [Clock.Advance] moves time and returns
// when what was due has run, [Clock.BlockUntil] and [Clock.BlockUntilDue] return
// when somebody waits for time to move, [Server.AwaitHits] when a request has
// arrived. The clock is the system's alone: the network, contexts with deadlines
// and the delay of [Slow] go by the machine's.
//
// Servers listen on 127.0.0.1, stop at the end of their test, and are safe for
// concurrent use, as the clock is.
//
// Stability: this package is stable API, with the root package and messages.
package understudytest
