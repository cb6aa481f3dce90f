package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/understudy-go/understudy/messages"
)

const (
	// quietMax ends the gathering of answers: so long after the last one, all
	// nodes that are well have spoken.
	quietMax = 250 * time.Millisecond
	// firstMax is how long the first answer may take.
	firstMax = 3 * time.Second
	// answersMax bounds the answers to one question.
	answersMax = 10_000
)

// Client asks the nodes over NATS: what the command does, and what a program in
// Go may do. It holds nothing but the connection, which stays its owner's, and is
// safe for concurrent use.
type Client struct {
	nc     *nats.Conn
	prefix string
}

// NewClient makes a client. An empty prefix is "understudy".
func NewClient(nc *nats.Conn, prefix string) *Client {
	if prefix == "" {
		prefix = messages.DefaultPrefix
	}
	return &Client{nc: nc, prefix: prefix}
}

// Status asks every node how it is, and for one service only where one is named.
// The answers are ordered by node. No node at all is SERVICE_UNAVAILABLE, no
// connection an [UnreachableError]. Where some nodes could not answer, there are
// both answers and an error.
func (c *Client) Status(ctx context.Context, service string) ([]messages.NodeStatus, error) {
	all, err := gather(ctx, c, messages.VerbStatus, messages.StatusRequest{Service: service}, readStatus)
	slices.SortFunc(all, func(a, b messages.NodeStatus) int { return strings.Compare(a.Node, b.Node) })
	return all, err
}

// Endpoints changes or lists a service's endpoints on every node. Each answer
// says whether its node carried the order out. Errors are those of Status.
func (c *Client) Endpoints(ctx context.Context, q messages.EndpointsRequest) ([]messages.AdminReply, error) {
	return c.order(ctx, messages.VerbEndpoints, q)
}

// Operate tells every node an operator's word on an endpoint. Each answer says
// whether its node carried it out. Errors are those of Status.
func (c *Client) Operate(ctx context.Context, q messages.OperateRequest) ([]messages.AdminReply, error) {
	return c.order(ctx, messages.VerbOperate, q)
}

func (c *Client) order(ctx context.Context, verb string, q any) ([]messages.AdminReply, error) {
	all, err := gather(ctx, c, verb, q, readJSON[messages.AdminReply])
	slices.SortFunc(all, func(a, b messages.AdminReply) int { return strings.Compare(a.Node, b.Node) })
	return all, err
}

// gather asks all nodes and collects what they answer, until it is quiet.
func gather[T any](ctx context.Context, c *Client, verb string, question any, read func(*nats.Msg) (T, error)) (all []T, err error) {
	body, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	inbox := c.nc.NewInbox()
	sub, err := c.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, c.failure(ctx, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := c.nc.PublishRequest(messages.AdminSubject(c.prefix, verb), inbox, body); err != nil {
		return nil, c.failure(ctx, err)
	}
	var errs []error
	for n, patience := 0, firstMax; n < answersMax; n, patience = n+1, quietMax {
		msg, err := nextWithin(ctx, sub, patience)
		if err != nil {
			if n == 0 || ctx.Err() != nil {
				errs = append(errs, c.failure(ctx, err))
			}
			break
		}
		answer, err := read(msg)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, answer)
	}
	return all, errors.Join(errs...)
}

func nextWithin(ctx context.Context, sub *nats.Subscription, d time.Duration) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return sub.NextMsgWithContext(ctx)
}

func readJSON[T any](msg *nats.Msg) (out T, err error) {
	if err := json.Unmarshal(msg.Data, &out); err != nil {
		return out, &messages.Error{Code: messages.CodeInternal, Words: "a node's answer cannot be read", Err: err}
	}
	return out, nil
}

// readStatus reads a status, or why a node has none to give.
func readStatus(msg *nats.Msg) (messages.NodeStatus, error) {
	if msg.Header.Get(messages.HeaderError) == "" {
		return readJSON[messages.NodeStatus](msg)
	}
	reply, err := readJSON[messages.AdminReply](msg)
	if err == nil && reply.Error != nil {
		err = fmt.Errorf("node %s: %w", reply.Node, reply.Error.Err())
	}
	return messages.NodeStatus{}, err
}

// failure is what it means that no answer came.
func (c *Client) failure(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return &messages.Error{Code: messages.CodeServiceUnavailable, Words: "no node answers"}
	case errors.Is(ctx.Err(), context.Canceled):
		return &messages.Error{Code: messages.CodeCanceled}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return &messages.Error{Code: messages.CodeTimeout, Words: "no answer in time"}
	case errors.Is(err, nats.ErrMaxPayload):
		return &messages.Error{Code: messages.CodePayloadTooLarge, Words: fmt.Sprintf("the message is more than the %d bytes that NATS carries", c.nc.MaxPayload())}
	case errors.Is(err, nats.ErrBadHeaderMsg):
		return invalid("a header cannot be sent")
	case errors.Is(err, nats.ErrBadSubject):
		return invalid("the name of the service cannot be one")
	}
	return &UnreachableError{URL: Redact(strings.Join(c.nc.Servers(), ",")), Err: err}
}

// EventFilter chooses events. Zero fields choose all.
type EventFilter struct {
	Service  string
	Endpoint string
	Kind     messages.Kind
}

// Events yields what the nodes publish from the call on, until ctx ends or the
// loop breaks. A reader that falls behind gets an events_lost event in place of
// what it missed. An event that cannot be read is an error and the next one
// follows; a connection that was closed is the last error.
func (c *Client) Events(ctx context.Context, f EventFilter) iter.Seq2[messages.Event, error] {
	sub, err := c.nc.SubscribeSync(c.eventsSubject(f))
	if err == nil {
		bounded, cancel := context.WithTimeout(ctx, firstMax)
		defer cancel()
		err = c.nc.FlushWithContext(bounded) // from here on the server knows of it
	}
	if err != nil {
		err = c.failure(ctx, err)
		return func(yield func(messages.Event, error) bool) { yield(messages.Event{}, err) }
	}
	end := func() { _ = sub.Unsubscribe() }
	forget := context.AfterFunc(ctx, end) // nobody need ever take the first step
	return func(yield func(messages.Event, error) bool) {
		defer forget()
		defer end()
		for {
			msg, err := sub.NextMsgWithContext(ctx)
			switch {
			case ctx.Err() != nil:
				return
			case errors.Is(err, nats.ErrSlowConsumer):
				lost := messages.Event{Kind: messages.KindEventsLost, Time: time.Now(), Cause: messages.Cause{Words: "the reader is too slow"}}
				if !yield(lost, nil) {
					return
				}
				continue
			case err != nil:
				yield(messages.Event{}, c.failure(ctx, err))
				return
			}
			if !yield(readEvent(msg)) {
				return
			}
		}
	}
}

func (c *Client) eventsSubject(f EventFilter) string {
	token := func(s string) string {
		if s == "" {
			return "*"
		}
		return messages.EscapeToken(s)
	}
	return c.prefix + ".event." + token(f.Service) + "." + token(f.Endpoint) + "." + token(string(f.Kind))
}

func readEvent(msg *nats.Msg) (messages.Event, error) {
	ce, err := readJSON[messages.CloudEvent](msg)
	return ce.Data, err
}
