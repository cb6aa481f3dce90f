package cluster

import (
	"slices"
	"strings"
)

// Carrier lets OpenTelemetry's propagators read and write the headers of a NATS
// message; nats.Header and messages.Header both convert to it. Names go out in
// lower case and come in in any: propagation.HeaderCarrier would write
// Traceparent and miss traceparent, since NATS compares names byte by byte. The
// map must not be nil for Set.
type Carrier map[string][]string

// Get returns the first value of key, or "".
func (c Carrier) Get(key string) string {
	if values := c.Values(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Values returns all values of key; where several spellings of it are there,
// those of the lower-case one.
func (c Carrier) Values(key string) []string {
	if values, ok := c[strings.ToLower(key)]; ok {
		return values
	}
	for name, values := range c {
		if strings.EqualFold(name, key) {
			return values
		}
	}
	return nil
}

// Set replaces key, in whatever spelling it was there.
func (c Carrier) Set(key, value string) {
	for name := range c {
		if strings.EqualFold(name, key) {
			delete(c, name)
		}
	}
	c[strings.ToLower(key)] = []string{value}
}

// Keys returns the names in lower case, each once.
func (c Carrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for name := range c {
		keys = append(keys, strings.ToLower(name))
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
