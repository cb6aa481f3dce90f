// Package cache keeps the answers of a service and gives them out again, as a
// shared cache of RFC 9111 with the stale answers of RFC 5861. It stands in front
// of everything else, so that a hit is served though every endpoint is down.
//
//	request ─▶ for the cache? ──no──▶ fetch; a write that succeeded forgets its path
//	              │ yes
//	              ▼
//	           kept and fresh? ─────────────────▶ hit
//	              │ no
//	              ▼
//	           stale_while_revalidate? ─────────▶ stale, and fetch in the background
//	              │ no
//	              ▼
//	           fetch, once for all who ask ─────▶ miss, and keep what may be kept
//	              │ failed
//	              ▼
//	           stale_if_error? ─────────────────▶ stale, else the failure
//
// [Cache.Do] goes that way. A file is one step of it: question.go what a request
// asks of a cache, answer.go whether and how long an answer may be used, store.go
// where answers lie, flight.go the fetches under way.
//
// # What passes by
//
// Methods but GET and HEAD, requests with a body, with Range or a condition (If-…),
// with no-store or a Cache-Control that cannot be read, and, unless
// [Config.Authorized], with Authorization or Cookie: as in Varnish, who comes with
// credentials gets an answer of its own. What else makes an answer personal (an
// API key in a header, say) the answer must say itself, by Vary or private.
//
// # What is kept
//
// An answer without an error, that is no fallback and sets no cookie, whose
// Cache-Control can be read and has neither no-store, private nor no-cache (with
// field names or without: nothing is ever validated here), and whose Vary is not *.
// It is kept for s-maxage, max-age or Expires, whatever its status below 500 but 206
// and 304; or for [Config.TTL] if it says nothing and its status is 200, 203, 204,
// 300, 301, 308, 404 or 410. Of the statuses that RFC 9110, section 15.1, lists
// besides, 206 needs ranges, and 405, 414 and 501 tell more about the asker than
// about the resource.
//
// What is past all use stays until the bounds push it out: a fallback of the kind
// "stale cache" may still want it ([Cache.Stale]).
//
// # Invariants
//
//   - Nothing is served past its freshness and the stale time allowed. After
//     must-revalidate or proxy-revalidate none is, and after s-maxage, which says the
//     same by RFC 9111, section 5.2.2.10, only what the answer itself allows.
//   - What was asked for with other values of the headers in Vary, or with other
//     credentials, is never served, neither from the store nor from a fetch that
//     others wait for.
//   - An answer that must not be kept reaches one caller only.
//   - An answer asked for before a write succeeded is not kept after it, and nobody
//     who comes after the write waits for it.
//   - Whenever a call returns, at most max_entries and max_bytes are kept. A mix of
//     large answers and many small ones may fill only half of either: an entry weighs
//     its bytes, but never less than max_bytes/max_entries.
//   - A fetch that callers wait for is cancelled when the last of them has left, and
//     not before.
//
// # Libraries
//
// otter keeps (W-TinyLFU, so that a scan of many paths does not push out what is
// asked for again and again), bounded by weight, without its clock and without a
// goroutine; cacheobject reads Cache-Control. Both are told apart from our own times
// and rules. singleflight is not used: in it nobody can leave, nothing tells when the
// last caller has gone, and all get the same answer whatever it says; what is left of
// it is a map.
//
// A Cache is safe for concurrent use. It is a shell: it locks and starts goroutines.
//
// Stability: not stable API; the root package names what embedders use.
package cache
