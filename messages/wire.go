package messages

import (
	"errors"
	"fmt"
	"strings"
)

// DefaultPrefix is the first token of every subject. It is configurable, so the
// functions below take it.
const DefaultPrefix = "understudy"

// Request headers. Names are case-sensitive on NATS; the front door takes the
// trace headers in any case.
const (
	HeaderMethod         = "Understudy-Method"     // zero: GET without payload, POST with
	HeaderPath           = "Understudy-Path"       // origin form with query; zero: /
	HeaderKey            = "Understudy-Key"        // affinity for hash and sticky strategies
	HeaderTimeout        = "Understudy-Timeout"    // a Go duration: 1.5s
	HeaderDeadline       = "Understudy-Deadline"   // Unix milliseconds
	HeaderIdempotent     = "Understudy-Idempotent" // true or false
	HeaderIdempotencyKey = "Idempotency-Key"
	HeaderTraceparent    = "traceparent"
	HeaderTracestate     = "tracestate"
	HeaderBaggage        = "baggage"
)

// Reply headers.
const (
	HeaderStatus     = "Understudy-Status"
	HeaderEndpoint   = "Understudy-Endpoint"
	HeaderAttempts   = "Understudy-Attempts"
	HeaderCache      = "Understudy-Cache"
	HeaderFallback   = "Understudy-Fallback"
	HeaderError      = "Understudy-Error"
	HeaderRetryAfter = "Retry-After"
	// The two that NATS micro clients read.
	HeaderNATSError     = "Nats-Service-Error"
	HeaderNATSErrorCode = "Nats-Service-Error-Code"
)

// NameMax is the longest service or node name, in bytes.
const NameMax = 64

// CheckName says what is wrong with a service or node name, or nil. A name is
// one to 64 bytes of A–Z, a–z, 0–9, "_" and "-".
func CheckName(name string) error {
	if name == "" {
		return errors.New("name cannot be empty")
	}
	if len(name) > NameMax {
		return fmt.Errorf("name of %d bytes is too long: %d at most", len(name), NameMax)
	}
	for _, r := range name {
		if r > 0x7f || !plain(byte(r)) {
			return fmt.Errorf("name %q has %q: only letters, digits, \"_\" and \"-\" are allowed", name, r)
		}
	}
	return nil
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// EscapeToken writes an id as one subject token or key: "=HH" for every byte
// that is not a letter, a digit, "_" or "-".
func EscapeToken(id string) string {
	clean := true
	for i := 0; i < len(id) && clean; i++ {
		clean = plain(id[i])
	}
	if clean && id != "" {
		return id
	}
	var b strings.Builder
	for i := 0; i < len(id); i++ {
		if plain(id[i]) {
			b.WriteByte(id[i])
		} else {
			fmt.Fprintf(&b, "=%02X", id[i])
		}
	}
	return b.String()
}

// UnescapeToken undoes [EscapeToken]; false if the token is not one of its.
func UnescapeToken(token string) (string, bool) {
	if !strings.Contains(token, "=") {
		return token, true
	}
	var b strings.Builder
	for i := 0; i < len(token); i++ {
		if token[i] != '=' {
			b.WriteByte(token[i])
			continue
		}
		if i+2 >= len(token) {
			return "", false
		}
		hi, lo := hexDigit(token[i+1]), hexDigit(token[i+2])
		if hi < 0 || lo < 0 {
			return "", false
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	return b.String(), true
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// RequestSubject is where requests for a service go.
func RequestSubject(prefix, service string) string { return prefix + ".request." + service }

// EventSubject is where an event is published; a service's own events have no
// endpoint and "_" in its place.
func EventSubject(prefix, service, endpoint string, kind Kind) string {
	token := "_"
	if endpoint != "" {
		token = EscapeToken(endpoint)
	}
	return prefix + ".event." + service + "." + token + "." + string(kind)
}

// AdminSubject is where an operator's verb is asked: status, endpoints, ….
func AdminSubject(prefix, verb string) string { return prefix + ".admin." + verb }
