// Package literature plays the latency test of the load-balancing literature on the
// balancer alone: no breaker, no suspicion, no retry.
//
// It is that of Jenson and Oanta, "Beyond Round Robin: Load Balancing for Latency"
// (Linkerd, 2016): 1,000 requests a second for a minute, one endpoint that takes 2 s
// from the 15th second on for 30 s, a timeout of 1 s. Requests answered in time,
// there: about 95 % with round robin, 99 % with least loaded, 99.9 % with peak EWMA.
//
// It plays in two worlds:
//
//   - article: as there, 11 endpoints of 167 ms ± 5 ms. Nobody cuts a request off at
//     the timeout; it is only counted.
//   - quick: 10 endpoints of a few ms, and a timeout that ends the request.
//
// In the quick world least_connections is as good as peak EWMA. With so few requests
// in flight, any that the slow endpoint has are more than the others have: it gets
// about one a timeout. In the article's it fills up until it has as many as the
// others, some 17.
//
// Time is virtual and chance is seeded: a run takes some 15 ms and comes out the same
// each time. make bench prints the figures.
package literature
