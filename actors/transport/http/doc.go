// Package http is how one attempt reaches an HTTP endpoint. Others import it as
// httptransport. It does I/O, in its caller's goroutine, and decides nothing:
// retries, deadlines and breakers are elsewhere.
//
// A [Client] is one per endpoint. A [Factory] makes them, with what all endpoints
// of a service share. A client has a connection pool of its own, which is only
// made with its first request, so that idle endpoints cost little.
//
// # One request's way
//
//	RoundTrip ─▶ wait for the pool ─▶ dial, TLS ─▶ send ─▶ head ─▶ Stream: body ─▶ done(err), once
//	             OVERLOADED           CONNECTION_ERROR,    │
//	             nothing sent         nothing sent         CONNECTION_ERROR, TIMEOUT: it may have been sent
//
// Every error of [Client.RoundTrip] holds a *messages.Error without a service, so
// that transport.Classify, transport.Unsent and transport.Words understand it,
// and its text quotes nothing of the answer. A caller's own mistake (a header
// that cannot be sent, a body that cannot be read or does not come) is
// INVALID_REQUEST, and no evidence against the endpoint.
//
// # What is sent
//
//   - The path is the base URL's, then the request's, joined by exactly one
//     slash: /api/ and /orders/ make /api/orders/. What is percent-encoded stays
//     as it was, a trailing slash stays, and so do empty and dot segments: a base
//     path is a convenience and no fence. A request without a path asks for the
//     base path itself. The asterisk of OPTIONS * stays alone.
//   - The query is the request's. Fragments and user information are not sent.
//   - Host is the endpoint's. A configured header Host replaces it; what the
//     request said does not matter, for that may be the service's name.
//   - Configured headers replace the request's own. User information in the base
//     URL becomes basic authentication unless Authorization is configured. These
//     go to the endpoint alone: no redirect is followed.
//   - The request's other headers go as they are; [StripHopByHop] is for doors
//     that take requests from elsewhere. No Accept-Encoding is added and nothing
//     is decompressed: the body is the endpoint's, unchanged.
//
// HTTP/1.1 is spoken in clear, HTTP/2 or HTTP/1.1 over TLS. No proxy is used,
// also not the one of the environment: the endpoint is where its URL says.
//
// net/http itself sends a request again when a kept connection turns out to be
// closed and the request can be replayed; that is one attempt here.
//
// This package is not stable API.
package http
