// Package demo shows on real processes what Understudy is for, in 20 seconds: a
// node with an embedded NATS server, three instances of an order service that are
// processes of their own and speak HTTP, and request messages over NATS at a
// steady rate. One instance is killed, another one stalls, both come back, and
// every request is answered.
//
//	  0 %   three instances serve
//	 10 %   orders-1 is killed with SIGKILL
//	 30 %   orders-1 is started again
//	 40 %   orders-2 takes 6 s for every second call
//	 70 %   orders-2 is well again
//	100 %   the result
//
// The node is the one that `understudy serve` runs, the requests are made with
// nats.go alone, and the instances know nothing of Understudy. Nothing listens
// beyond loopback, and no process outlives the demo's.
package demo
