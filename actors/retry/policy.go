package retry

import "github.com/understudy-go/understudy/messages"

// Statuses run from statusMin to statusMax, as those of HTTP do.
const (
	statusMin = 100
	statusMax = 599
)

// Policy is Config.On in a form that answers at once.
type Policy struct {
	statuses [statusMax + 1]bool
	connect  bool
	timeout  bool
	failure  bool // without a status
}

// NewPolicy returns the policy of cfg. Words that [Config.Validate] rejects are
// left out.
func NewPolicy(cfg Config) *Policy {
	p := &Policy{}
	for _, word := range cfg.WithDefaults().On {
		p.add(word)
	}
	return p
}

// add makes the policy retry what the word names; false where it names nothing.
func (p *Policy) add(word string) bool {
	switch word {
	case "connect":
		p.connect = true
	case "timeout":
		p.timeout = true
	case "error":
		p.failure = true
	default:
		from, to, ok := statusRange(word)
		for status := from; ok && status <= to; status++ {
			p.statuses[status] = true
		}
		return ok
	}
	return true
}

// statusRange reads "503" and "5xx".
func statusRange(word string) (from, to int, ok bool) {
	if len(word) != 3 || word[0] < '1' || word[0] > '5' {
		return 0, 0, false
	}
	from = int(word[0]-'0') * 100
	if word[1:] == "xx" {
		return from, from + 99, true
	}
	for i, unit := range []int{10, 1} {
		digit := word[i+1]
		if digit < '0' || digit > '9' {
			return 0, 0, false
		}
		from += int(digit-'0') * unit
	}
	return from, from, true
}

// Retryable reports whether an attempt with this outcome, and this status if an
// answer came (else 0), is listed to be made again.
//
// A status counts whatever its outcome is, because 429 is listed and is no
// failure; where a classifier or a rule has spoken, its word goes first. Whether
// the request may be repeated at all, and whether an attempt is left, the caller
// knows.
func (p *Policy) Retryable(o messages.Outcome, status int) bool {
	switch {
	case o == messages.ConnectFailure:
		return p.connect
	case o == messages.Timeout:
		return p.timeout
	case status >= statusMin && status <= statusMax:
		return p.statuses[status]
	}
	return o == messages.Failure && p.failure
}
