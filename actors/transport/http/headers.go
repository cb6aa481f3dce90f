package http

import (
	nethttp "net/http"
	"strings"
)

// HopByHop reports whether the header of that name, in any case, is about one
// connection and not about the message (RFC 9110, section 7.6.1, and what old
// proxies made up).
func HopByHop(name string) bool {
	switch nethttp.CanonicalHeaderKey(name) {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// StripHopByHop deletes the headers that are hop-by-hop, and those that a
// Connection header names, whatever the case of their names. A door that passes
// protocol upgrades on puts its own Connection and Upgrade back.
func StripHopByHop(h nethttp.Header) {
	var named map[string]bool
	for name, values := range h {
		if nethttp.CanonicalHeaderKey(name) != "Connection" {
			continue
		}
		for _, v := range values {
			for token := range strings.SplitSeq(v, ",") {
				if named == nil {
					named = make(map[string]bool)
				}
				named[nethttp.CanonicalHeaderKey(strings.TrimSpace(token))] = true
			}
		}
	}
	for name := range h {
		if HopByHop(name) || named[nethttp.CanonicalHeaderKey(name)] {
			delete(h, name)
		}
	}
}
