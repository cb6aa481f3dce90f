package show

import (
	"fmt"
	"strings"
	"time"

	"github.com/understudy-go/understudy/messages"
)

// State is what an endpoint does, in a word or two: "serving", "last choice",
// "out" or what an operator made of it. Why says for which reason, and is empty
// where all is well.
func State(e *messages.EndpointStatus) (state, why string) {
	var reasons []string
	add := func(words string) {
		if words != "" {
			reasons = append(reasons, words)
		}
	}
	switch {
	case e.Admin != messages.AdminReady && e.Admin != "":
		state = string(e.Admin)
		add(e.AdminReason)
	case !e.Eligible:
		state = "out"
	case e.Breaker == "open":
		state = "trial due"
	case e.Suspect || e.Rank == "suspect":
		state = "last choice"
	case e.Rank == "degraded":
		state = "degraded"
	case !e.WarmingUntil.IsZero():
		state = "warming up"
	default:
		state = "serving"
	}
	if e.Health != "healthy" {
		add(reason(e.Health, e.HealthReason))
	}
	if e.Suspect {
		add(reason("suspect", suspicion(e)))
	}
	if e.Breaker != "closed" {
		add(reason(e.Breaker, e.BreakerReason))
	}
	if !e.CoolingUntil.IsZero() {
		add("asked for a pause until " + e.CoolingUntil.Local().Format(time.TimeOnly))
	}
	if !e.EjectedUntil.IsZero() {
		add(reason("ejected", e.EjectedReason) + ", until " + e.EjectedUntil.Local().Format(time.TimeOnly))
	}
	return state, strings.Join(reasons, "; ")
}

// suspicion is what speaks against an endpoint. Its health has the reason where a
// check found it.
func suspicion(e *messages.EndpointStatus) string {
	if strings.HasPrefix(e.HealthReason, "suspect") {
		return e.HealthReason
	}
	return e.LastError
}

// reason puts the state before its reason, unless that begins with it.
func reason(state, why string) string {
	switch {
	case why == "":
		return state
	case strings.HasPrefix(why, state):
		return why
	}
	return state + ": " + why
}

// What names what happened for a person: "endpoint suspected".
func What(k messages.Kind) string { return strings.ReplaceAll(string(k), "_", " ") }

// Why is the reason of an event, with who ordered it.
func Why(e *messages.Event) string {
	words := e.Cause.Words
	if words == "" && e.Cause.To != "" {
		words = "from " + e.Cause.From + " to " + e.Cause.To
	}
	if e.Cause.By != "" {
		words += " (by " + e.Cause.By + ")"
	}
	return Plain(words)
}

// Event is what happened and why: "circuit open: 5 failures in a row".
func Event(e *messages.Event) string {
	if why := Why(e); why != "" {
		return What(e.Kind) + ": " + why
	}
	return What(e.Kind)
}

// Whom is the service and the endpoint of an event, or the node.
func Whom(e *messages.Event) string {
	switch {
	case e.Endpoint != "":
		return e.Service + "/" + e.Endpoint
	case e.Service != "":
		return e.Service
	}
	return e.Node
}

// Latency is a duration in three figures.
func Latency(d time.Duration) string {
	switch {
	case d <= 0:
		return "-"
	case d < time.Millisecond:
		return fmt.Sprintf("%dµs", d.Microseconds())
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1fms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	}
	return d.Round(10 * time.Millisecond).String()
}
