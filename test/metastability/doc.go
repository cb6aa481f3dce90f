// Package metastability shows that a service recovers when its endpoints do.
//
// A metastable failure outlives its cause: queues are full of work whose callers have
// given up, so that those who come now give up too, and try again (Bronson, Aghayev,
// Charapko and Zhu, "Metastable Failures in Distributed Systems", HotOS 2021).
//
//	callers, 320/s, who do not wait for each other ──▶ service ──▶ 4 servers of 100/s
//
// A server has a queue, first come, first served, and does whatever is in it, whether
// or not anybody still waits. Some servers, or all, break for 10 s and heal. What
// happens then is measured from outside: attempts that reached a server, and good
// answers.
//
// An attempt may take 500 ms, ten times what it takes on average. Else the services are
// on defaults; or how many attempts an endpoint may have in flight is adaptive, or 25,
// half of what a server can do within an attempt's time.
//
// A fixed limit of 1024 by itself does not save a service at this load: whichever
// breaker closes first, its endpoint gets the requests of all. Its queue passes the
// attempt's time, every attempt ends as a timeout, and the breaker opens for twice as
// long, just when the next one closes. To lose one endpoint of four is enough to begin
// it. So the default of 1024 makes way while there is trouble (actors/throttle.go).
// Outages of 80 that were not over 30 s after the servers healed, the longest that
// were, and the goodput in percent while one, two and three of four were broken:
//
//	attempt timeout, latency    fixed 1024            shipped               adaptive
//	500 ms, 30 ms               73  30 s     60 14  5   0  14 s  86 37 14   0  11 s  92 61 31
//	500 ms, 50 ms               72  13 s     55 14  6   0   9 s  81 34 14   0  22 s  92 61 31
//	2 s, 30 ms                  21  12 s     94 36 13   0  25 s  94 51 15   0  12 s  93 63 32
//	2 s, 300 ms                 42  28 s     93 34 14   0  27 s  93 39 15   0  19 s  90 60 32
//
// Chance plays its part: of another 160 on the shipped default, at 50 ms, the 80 with
// 500 ms were all over in 30 s, and of the 80 with 2 s all but one.
//
// Time is virtual. What chance decides is not seeded: goroutines draw in an order of
// their own.
package metastability
