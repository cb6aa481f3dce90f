package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/understudy-go/understudy/actors"
	"github.com/understudy-go/understudy/messages"
)

const (
	// adminMax bounds the carrying out of one order.
	adminMax = 5 * time.Second
	// adminPendingMax is how many orders of one verb may wait for their turn.
	adminPendingMax = 1024
	reasonMax       = 1024
	byMax           = 256
)

// listen subscribes to the verbs. Every node hears every order: there is no queue
// group. Orders of one verb are carried out one after another, in the goroutine
// of its subscription.
func (d *Door) listen() error {
	for verb, run := range map[string]func(context.Context, []byte) (any, error){
		messages.VerbStatus:    d.status,
		messages.VerbEndpoints: d.endpoints,
		messages.VerbOperate:   d.operate,
	} {
		sub, err := d.nc.Subscribe(messages.AdminSubject(d.config.Prefix, verb), func(m *nats.Msg) { d.obey(m, run) })
		if err != nil {
			return fmt.Errorf("operators cannot be heard over NATS: %w", err)
		}
		d.adminSub = append(d.adminSub, sub)
		if err := sub.SetPendingLimits(adminPendingMax, adminPendingMax*messages.AdminRequestMax); err != nil {
			return fmt.Errorf("operators cannot be heard over NATS: %w", err)
		}
	}
	return nil
}

// hangUp hears no more orders and returns when none is being carried out.
func (d *Door) hangUp() {
	d.admin.Lock()
	defer d.admin.Unlock()
	d.deaf = true
	for _, sub := range d.adminSub {
		_ = sub.Unsubscribe() // its only failure is a connection that is closed
	}
}

// obey carries out one order and answers.
func (d *Door) obey(m *nats.Msg, run func(context.Context, []byte) (any, error)) {
	d.admin.RLock()
	defer d.admin.RUnlock()
	if d.deaf {
		return
	}
	ctx, cancel := context.WithTimeout(d.ctx, adminMax)
	defer cancel()
	var (
		out any
		err error
	)
	if len(m.Data) > messages.AdminRequestMax {
		err = &messages.Error{Code: messages.CodePayloadTooLarge, Words: fmt.Sprintf("the order has %d bytes: %d at most", len(m.Data), messages.AdminRequestMax)}
	} else {
		out, err = run(ctx, m.Data)
	}
	if m.Reply == "" {
		return
	}
	reply := d.adminReply(out, err)
	if err := m.RespondMsg(reply); errors.Is(err, nats.ErrMaxPayload) {
		err = m.RespondMsg(d.adminReply(nil, &messages.Error{Code: messages.CodePayloadTooLarge,
			Words: fmt.Sprintf("the answer of %d bytes is more than the %d bytes that NATS carries: ask for one service", len(reply.Data), d.nc.MaxPayload())}))
		if err != nil {
			d.log.Debug("an operator's answer could not be sent", "error", err)
		}
	}
}

func (d *Door) adminReply(out any, err error) *nats.Msg {
	msg := &nats.Msg{Header: nats.Header{"Content-Type": {"application/json"}}}
	if err != nil {
		e := public("", err)
		out = &messages.AdminReply{Node: d.config.Node, Error: messages.NewProblem(e, e.Status())}
		msg.Header[messages.HeaderError] = []string{string(e.Code)}
		setServiceError(msg.Header, e, e.Status())
	}
	msg.Data, err = json.Marshal(out)
	if err != nil {
		d.log.Error("an operator's answer has no JSON", "error", err)
	}
	return msg
}

// readOrder decodes an order strictly: what is misspelled must not be passed over.
func readOrder(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		if _, more := dec.Token(); more != io.EOF {
			err = errors.New("something follows after it")
		}
	}
	if err != nil {
		return invalid("the order is not the JSON that is expected: %.200s", err)
	}
	return nil
}

// status tells how the node is.
func (d *Door) status(_ context.Context, data []byte) (any, error) {
	var q messages.StatusRequest
	if len(data) > 0 {
		if err := readOrder(data, &q); err != nil {
			return nil, err
		}
	}
	s := &messages.NodeStatus{Node: d.config.Node, Version: d.config.Version, Started: d.started, Ready: true, Services: []messages.ServiceStatus{}}
	if d.draining() {
		s.Ready, s.Reason = false, "draining"
	}
	for _, name := range d.sys.Services() {
		if q.Service == "" || q.Service == name {
			s.Services = append(s.Services, d.sys.Service(name).Status())
		}
	}
	if d.config.Status != nil {
		d.config.Status(s)
	}
	return s, nil
}

// operate passes an operator's word on to an endpoint.
func (d *Door) operate(ctx context.Context, data []byte) (any, error) {
	var q messages.OperateRequest
	if err := readOrder(data, &q); err != nil {
		return nil, err
	}
	switch {
	case len(q.Reason) > reasonMax:
		return nil, invalid("reason: %d bytes are too long: %d at most", len(q.Reason), reasonMax)
	case len(q.By) > byMax:
		return nil, invalid("by: %d bytes are too long: %d at most", len(q.By), byMax)
	}
	s, err := d.lookup(q.Service)
	if err != nil {
		return nil, err
	}
	err = s.Operate(ctx, actors.Order{Endpoint: q.Endpoint, Verb: actors.Verb(q.Verb), Reason: q.Reason, By: q.By})
	return &messages.AdminReply{Node: d.config.Node, Endpoint: q.Endpoint}, err
}

func (d *Door) lookup(service string) (*actors.Service, error) {
	if s, ok := d.sys.Lookup(service); ok {
		return s, nil
	}
	return nil, &messages.Error{Code: messages.CodeNotFound, Service: service, Words: "no such service"}
}

// endpoints changes or lists the endpoints of a service.
func (d *Door) endpoints(_ context.Context, data []byte) (any, error) {
	var q messages.EndpointsRequest
	if err := readOrder(data, &q); err != nil {
		return nil, err
	}
	out := &messages.AdminReply{Node: d.config.Node, Endpoint: q.Endpoint.ID}
	if q.Action == messages.ActionAdd {
		id, err := d.add(q)
		out.Endpoint = id
		return out, err
	}
	s, err := d.lookup(q.Service)
	if err != nil {
		return nil, err
	}
	switch q.Action {
	case messages.ActionUpdate:
		err = update(s, q.Endpoint)
	case messages.ActionRemove:
		err = s.Deregister(q.Endpoint.ID)
	case messages.ActionList:
		out.Endpoints = s.Status().Endpoints
	default:
		err = invalid("action: %.32q is none of add, update, rm, ls", q.Action)
	}
	return out, err
}

// add registers an endpoint, in a service of its own where there is none. The
// service is open on NATS when the operator has the answer.
func (d *Door) add(q messages.EndpointsRequest) (id string, err error) {
	e := ordered(actors.Endpoint{ID: q.Endpoint.ID}, q.Endpoint)
	if e.URL == "" {
		return "", invalid("url: cannot be empty")
	}
	if e.ID == "" {
		if u, err := url.Parse(e.URL); err == nil {
			e.ID = u.Host
		}
	}
	s, there := d.sys.Lookup(q.Service)
	if there {
		return e.ID, s.Register(e)
	}
	_, err = d.sys.AddService(q.Service, actors.ServiceConfig{Endpoints: []actors.Endpoint{e}})
	if errors.Is(err, messages.ErrConflict) { // somebody else made it just now
		return e.ID, d.sys.Service(q.Service).Register(e)
	}
	if err != nil {
		return e.ID, err
	}
	return e.ID, d.settle(q.Service)
}

// update changes the fields of an endpoint that are given.
func update(s *actors.Service, o messages.EndpointOrder) error {
	e, err := s.Endpoint(o.ID)
	if err != nil {
		return err
	}
	return s.Update(ordered(e, o))
}

func ordered(e actors.Endpoint, o messages.EndpointOrder) actors.Endpoint {
	if o.URL != "" {
		e.URL = o.URL
	}
	if o.Weight != nil {
		e.Weight = *o.Weight
	}
	if o.Priority != nil {
		e.Priority = *o.Priority
	}
	if o.Zone != "" {
		e.Zone = o.Zone
	}
	if o.Region != "" {
		e.Region = o.Region
	}
	if o.Tags != nil {
		e.Tags = o.Tags
	}
	if o.Metadata != nil {
		e.Metadata = o.Metadata
	}
	return e
}
