// Package cluster is what nodes share over NATS. [Connect] makes the connection
// that everything else here runs on; it never imports the embedded server, so
// that an embedder does not link one.
//
// Stability: none promised; the root package, messages and test/understudytest
// are the stable API.
package cluster
