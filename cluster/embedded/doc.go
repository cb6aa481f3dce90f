// Package embedded runs a NATS server with JetStream inside the process, so that
// `understudy serve` needs nothing else to be installed. It is the only package
// that imports nats-server: an embedder of the library never links it.
//
// What holds:
//   - One server per store directory. A lock on it says whose it is, and the
//     system takes the lock back when its holder dies.
//   - Without a password or a token it listens on loopback only.
//   - Memory and disk are bounded, whatever the machine has.
//   - [Start] returns a server that accepts connections and has JetStream, or an
//     error and nothing left behind: no port, no lock, no goroutine.
//   - It takes no signals and writes to nothing but the logger.
//
// Stability: none promised; the root package, messages and test/understudytest
// are the stable API.
package embedded
