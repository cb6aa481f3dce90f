package config

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/understudy-go/understudy/actors"
)

// warn says what is allowed in a service and probably not meant.
func (s section) warn(c actors.ServiceConfig) {
	if len(c.Endpoints) == 0 {
		s.warning("the service has no endpoints and answers NO_ENDPOINTS", "list some, or register them at run time", "endpoints")
	}
	s.warnWeights(c)
	s.warnURLs(c)
	s.warnContradictions(c)
}

// warnDefaults says the same of what services inherit.
func (s section) warnDefaults(c actors.ServiceConfig, all map[string]actors.ServiceConfig) {
	s.warnContradictions(c)
	if c.Fallback != nil {
		s.warnFallback(c.Fallback, all)
	}
}

// warning is about the first of the keys that was written, or the whole section.
func (s section) warning(words, hint string, keys ...string) {
	at, path := s.node.at, s.path
	for _, key := range keys {
		if n, written := find(s.node, key); written {
			at, path = n.at, join(s.path, key)
			break
		}
	}
	s.warnings = append(s.warnings, at.say(path, words, hint))
}

// warnWeights: endpoints may come at run time, so an unknown id is no mistake.
func (s section) warnWeights(c actors.ServiceConfig) {
	known := make(map[string]bool, len(c.Endpoints))
	for _, e := range c.Endpoints {
		known[e.ID] = true
	}
	for _, id := range slices.Sorted(maps.Keys(c.Strategy.Weights)) {
		if !known[id] {
			s.warning("no endpoint here has this id", "correct it, unless one will register under it", "strategy.weights."+id)
		}
	}
}

func (s section) warnURLs(c actors.ServiceConfig) {
	first := make(map[string]string, len(c.Endpoints))
	for i, e := range c.Endpoints {
		endpoint := item("endpoints", i)
		u, err := url.Parse(e.URL)
		switch {
		case err != nil:
			continue // a mistake, reported as such
		case e.URL == "":
			s.warning("the endpoint has no url, so no request can be sent there", "give it one", endpoint)
			continue
		case u.User != nil:
			s.warning("credentials stand in the url", "send them by headers: {Authorization: …}, with the value from ${VAR}", endpoint+".url")
		}
		same := strings.TrimSuffix(strings.ToLower(u.Scheme+"://"+u.Host)+u.EscapedPath(), "/")
		if other, twice := first[same]; twice {
			s.warning("the same url as that of "+other+", so they fail together and one of them protects from nothing", "leave one out", endpoint+".url")
			continue
		}
		first[same] = e.ID
	}
}
