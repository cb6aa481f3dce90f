package messages

import "time"

// Admin is an operator's word on an endpoint.
type Admin string

// The administrative states.
const (
	AdminReady Admin = "ready"
	AdminDrain Admin = "drain" // finishes what it has, takes nothing new
	AdminMaint Admin = "maint" // taken out
)

// NodeStatus is what one node says of itself; the answer to the admin verb
// "status".
type NodeStatus struct {
	Node     string          `json:"node"`
	Version  string          `json:"version"`
	Started  time.Time       `json:"started"`
	Ready    bool            `json:"ready"`
	Reason   string          `json:"reason,omitempty"` // why it is not ready
	Config   string          `json:"config,omitempty"` // why the newest file is not in force
	Services []ServiceStatus `json:"services"`
}

// ServiceStatus is the state of one service on one node.
type ServiceStatus struct {
	Service   string            `json:"service"`
	Strategy  string            `json:"strategy"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	Draining  bool              `json:"draining,omitempty"`
	Panic     bool              `json:"panic,omitempty"` // health and ejections are ignored
	Stats     ServiceStats      `json:"stats"`
	Endpoints []EndpointStatus  `json:"endpoints"`
}

// ServiceStats counts since the service was added. Requests and attempts are
// apart: one exhausted request of three attempts is 1 request, 3 attempts, 2 retries.
type ServiceStats struct {
	Requests    uint64        `json:"requests"`
	Succeeded   uint64        `json:"succeeded"`
	Failed      uint64        `json:"failed"`
	Canceled    uint64        `json:"canceled"`
	Attempts    uint64        `json:"attempts"`
	Retries     uint64        `json:"retries"`
	Failovers   uint64        `json:"failovers"`  // attempts on another endpoint than the one before
	Recoveries  uint64        `json:"recoveries"` // requests that failed at first and succeeded in the end
	Hedges      uint64        `json:"hedges"`     // attempts beside one that took long
	Refusals    uint64        `json:"refusals"`   // acquisitions that no endpoint granted
	Fallbacks   uint64        `json:"fallbacks"`
	Cached      uint64        `json:"cached"`     // requests that the cache answered, with no attempt
	Keyless     uint64        `json:"keyless"`    // requests without the key that the strategy goes by
	AverageTime time.Duration `json:"average_ns"` // of attempts that were made, refusals left out
	LastSuccess time.Time     `json:"last_success,omitzero"`
	LastFailure time.Time     `json:"last_failure,omitzero"`
}

// EndpointStatus shows the three things that decide whether an endpoint may be
// picked, each with its reason in words.
type EndpointStatus struct {
	ID            string            `json:"id"`
	URL           string            `json:"url,omitempty"` // without user information
	Tags          []string          `json:"tags,omitempty"`
	Metadata      map[string]string `json:"metadata,omitempty"`
	Weight        int               `json:"weight"`
	Priority      int               `json:"priority"`
	Zone          string            `json:"zone,omitempty"`
	Region        string            `json:"region,omitempty"`
	Eligible      bool              `json:"eligible"`
	Rank          string            `json:"rank"`
	Admin         Admin             `json:"admin"`
	AdminReason   string            `json:"admin_reason,omitempty"`
	Health        string            `json:"health"`
	HealthReason  string            `json:"health_reason,omitempty"`
	Breaker       string            `json:"breaker"`
	BreakerReason string            `json:"breaker_reason,omitempty"`
	Suspect       bool              `json:"suspect,omitempty"`
	CoolingUntil  time.Time         `json:"cooling_until,omitzero"`
	EjectedUntil  time.Time         `json:"ejected_until,omitzero"` // by outlier detection
	EjectedReason string            `json:"ejected_reason,omitempty"`
	WarmingUntil  time.Time         `json:"warming_until,omitzero"` // slow start
	Inflight      int               `json:"inflight"`
	Limit         int               `json:"limit,omitempty"` // of those in flight; 0: none
	Latency       time.Duration     `json:"latency_ns"`      // peak EWMA
	Attempts      uint64            `json:"attempts"`
	Failures      uint64            `json:"failures"`
	Timeouts      uint64            `json:"timeouts"`
	Refusals      uint64            `json:"refusals"`
	Checks        uint64            `json:"checks"`
	CheckFailures uint64            `json:"check_failures"`
	LastError     string            `json:"last_error,omitempty"`
	CreatedAt     time.Time         `json:"created_at"`
	UpdatedAt     time.Time         `json:"updated_at"`
}
