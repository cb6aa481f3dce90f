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
// The services here are on defaults but for two settings. An attempt may take 500 ms,
// ten times what it takes on average. And how many attempts an endpoint may have in
// flight is adaptive, or 25, half of what a server can do within an attempt's time.
//
// On the default of 1024 a service at this load does not recover: whichever breaker
// closes first, its endpoint gets the requests of all. Its queue passes the attempt's
// time, every attempt ends as a timeout, and the breaker opens for twice as long, just
// when the next one closes. To lose one endpoint of four is enough to begin it.
//
// Time is virtual. What chance decides is not seeded: goroutines draw in an order of
// their own.
package metastability
