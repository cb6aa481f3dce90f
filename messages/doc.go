// Package messages holds what crosses a mailbox or the wire: requests and
// responses, events with their causes, states, error codes, subjects and
// headers.
//
// It uses the standard library only and decides nothing, so that any program
// may import it: a client that speaks NATS, an actor that sends a [Request] to a
// service's PID, a consumer of events.
//
// Stability: this package is stable API, with the root package and
// test/understudytest.
package messages
