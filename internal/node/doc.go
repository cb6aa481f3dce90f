// Package node assembles what `understudy serve` runs out of a configuration: a
// NATS server in this process or a connection to another, the services, the door
// over NATS, the admin door over HTTP, and the reloading of its files.
//
// What holds:
//   - [Start] waits for no network but its own server: a node whose NATS is away
//     runs, is not ready, says so and keeps trying.
//   - A changed file is applied only where it changed. What was registered at run
//     time stays. A file with mistakes changes nothing.
//   - [Node.Shutdown] lets every request that came in be answered before the
//     connection, and the server, go.
package node
