package messages

// The admin service: an operator asks all nodes at once, on the subjects that
// [AdminSubject] makes of these verbs, and each node answers for itself. Bodies
// are JSON.
const (
	VerbStatus    = "status"    // a [StatusRequest], or nothing; answered by a [NodeStatus]
	VerbEndpoints = "endpoints" // an [EndpointsRequest], answered by an [AdminReply]
	VerbOperate   = "operate"   // an [OperateRequest], answered by an [AdminReply]
)

// AdminRequestMax is the largest request of the admin service, in bytes.
const AdminRequestMax = 64 << 10

// StatusRequest asks for a node's state.
type StatusRequest struct {
	// Service is the only one to tell of. Zero: all.
	Service string `json:"service,omitempty"`
}

// Action is what an [EndpointsRequest] asks for.
type Action string

// The actions on the endpoints of a service.
const (
	// ActionAdd registers an endpoint. A service that is not there yet is made, on
	// defaults. An id that is taken is CONFLICT.
	ActionAdd Action = "add"
	// ActionUpdate changes the fields that are given.
	ActionUpdate Action = "update"
	// ActionRemove takes an endpoint off the list; it finishes what it has.
	ActionRemove Action = "rm"
	// ActionList tells of the service's endpoints and changes nothing.
	ActionList Action = "ls"
)

// EndpointsRequest is an action on the endpoints of one service, on every node.
// It lasts as long as the node's process.
type EndpointsRequest struct {
	Action  Action `json:"action"`
	Service string `json:"service"`
	// Endpoint says which one, and for add and update how it is to be.
	Endpoint EndpointOrder `json:"endpoint,omitzero"`
}

// EndpointOrder is an endpoint as an operator orders it. Fields that are left out
// are on their defaults in a new endpoint, and stay as they were in an update.
type EndpointOrder struct {
	// ID is unique in the service. Left out in an add: the URL's host and port.
	ID       string            `json:"id,omitempty"`
	URL      string            `json:"url,omitempty"`
	Weight   *int              `json:"weight,omitempty"`
	Priority *int              `json:"priority,omitempty"`
	Zone     string            `json:"zone,omitempty"`
	Region   string            `json:"region,omitempty"`
	Tags     []string          `json:"tags,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

// OperateRequest is an operator's word on one endpoint, for every node.
type OperateRequest struct {
	Service  string `json:"service"`
	Endpoint string `json:"endpoint"`
	Verb     string `json:"verb"`             // ready, drain, maint, force_open, force_close or reset
	Reason   string `json:"reason,omitempty"` // shown in status and events; 1024 bytes at most
	By       string `json:"by,omitempty"`     // who says so; 256 bytes at most
}

// AdminReply is what one node answers to an order. It was carried out there if
// Error is nil.
type AdminReply struct {
	Node     string   `json:"node"`
	Endpoint string   `json:"endpoint,omitempty"` // the id of the endpoint that the order was about
	Error    *Problem `json:"error,omitempty"`
	// Endpoints are the service's, in answer to ls.
	Endpoints []EndpointStatus `json:"endpoints,omitempty"`
}
