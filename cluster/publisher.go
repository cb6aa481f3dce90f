package cluster

import (
	"context"
	"encoding/json"
	"log/slog"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/understudy-go/understudy/messages"
)

// publisher sends events out. It belongs to the goroutine that reads them, which
// holds a cursor into the system's own memory of events: NATS can hold up that
// goroutine and nobody else, and an event is never queued here.
type publisher struct {
	nc     *nats.Conn
	config DoorConfig
	run    string // of this process: sequences begin anew with the next
	last   string // id of the event before
	lost   uint64 // since the last one that went out
}

func newPublisher(nc *nats.Conn, c DoorConfig) *publisher {
	p := &publisher{nc: nc, config: c, run: randomToken()}
	p.last = p.id(0)
	return p
}

func (p *publisher) id(sequence uint64) string {
	return p.config.Node + "-" + p.run + "-" + strconv.FormatUint(sequence, 10)
}

// publish sends e, or drops it where there is no connection: a consumer wants
// news, and status tells the rest.
func (p *publisher) publish(e *messages.Event) {
	ce := p.cloudEvent(e)
	body, err := json.Marshal(ce)
	if err == nil && !p.nc.IsConnected() {
		err = nats.ErrDisconnected // a connection may have been told to buffer
	}
	if err == nil {
		err = p.nc.PublishMsg(&nats.Msg{
			Subject: eventSubject(p.config.Prefix, e),
			Header:  nats.Header{"Content-Type": {messages.ContentTypeCloudEvent}},
			Data:    body,
		})
	}
	log := p.config.Logger
	switch {
	case err != nil:
		level := slog.LevelDebug
		if p.lost == 0 {
			level = slog.LevelWarn
		}
		p.lost++
		log.Log(context.Background(), level, "an event could not be published", "kind", e.Kind, "error", err)
	case p.lost > 0:
		log.Warn("events were not published", "lost", p.lost)
		p.lost = 0
	}
}

// eventSubject is where e goes; what concerns no service has "_" in its place.
func eventSubject(prefix string, e *messages.Event) string {
	service := e.Service
	if service == "" {
		service = "_"
	}
	return messages.EventSubject(prefix, service, e.Endpoint, e.Kind)
}

// cloudEvent is e in its envelope. Its id is the node, the run of its process and
// the sequence, so that source and id together are unique, as CloudEvents wants it.
func (p *publisher) cloudEvent(e *messages.Event) *messages.CloudEvent {
	ce := &messages.CloudEvent{
		SpecVersion:     "1.0",
		Source:          "understudy/" + p.config.Node,
		Type:            "understudy." + string(e.Kind),
		Subject:         e.Service,
		Time:            e.Time,
		DataContentType: "application/json",
		Data:            *e,
	}
	if e.Endpoint != "" {
		ce.Subject += "/" + e.Endpoint
	}
	if e.Sequence > 0 {
		p.last = p.id(e.Sequence)
		ce.ID = p.last
	} else { // a loss stands after the last one that was seen
		ce.ID = p.last + "-lost"
	}
	return ce
}
