package actors

import (
	"net/http"
	"testing"
	"time"
)

// cooldown.max turned off is no cap; it is not a cap of nothing.
func TestAPauseIsCappedOnlyWhereThereIsACap(t *testing.T) {
	for limit, want := range map[time.Duration]time.Duration{0: 5 * time.Minute, time.Minute: time.Minute, Off: time.Hour} {
		r := newRules(ServiceConfig{Cooldown: Cooldown{Max: limit}}.WithDefaults())
		j := r.judge(&attemptFacts{status: 503, header: http.Header{"Retry-After": {"3600"}}})
		if j.retryAfter != want {
			t.Errorf("cooldown.max %v: left alone for %v, want %v", limit, j.retryAfter, want)
		}
	}
}
