package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/understudy-go/understudy/actors"
	"github.com/understudy-go/understudy/cluster"
	"github.com/understudy-go/understudy/cluster/embedded"
	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/understudytest"
)

// order sends an operator's order as any client would and reads one node's answer.
func (n *node) order(t *testing.T, verb, body string, into any) *nats.Msg {
	t.Helper()
	msg, err := n.caller.Request("understudy.admin."+verb, []byte(body), patience)
	noError(t, err)
	noError(t, json.Unmarshal(msg.Data, into))
	return msg
}

func (n *node) changes(t *testing.T, verb, body string) messages.AdminReply {
	t.Helper()
	var r messages.AdminReply
	msg := n.order(t, verb, body, &r)
	equal(t, r.Node, "a")
	code := ""
	if r.Error != nil {
		code = string(r.Error.Code)
		equal(t, msg.Header.Get("Nats-Service-Error"), code+": "+r.Error.Words())
	}
	equal(t, msg.Header.Get("Understudy-Error"), code)
	return r
}

func TestStatus(t *testing.T) {
	n := startNode(t, services{"orders": over(understudytest.Good(t)), "web": {}}, func(c *cluster.DoorConfig) {
		c.Version = "1.2.3"
		c.Status = func(s *messages.NodeStatus) { s.Config = "line 7: unknown key" }
	})
	n.ask(t, "orders", nil, "")
	var all, one, none messages.NodeStatus
	n.order(t, "status", "", &all)
	n.order(t, "status", `{"service":"web"}`, &one)
	n.order(t, "status", `{"service":"elsewhere"}`, &none)
	equal(t, []string{all.Node, all.Version, all.Config, all.Reason}, []string{"a", "1.2.3", "line 7: unknown key", ""})
	holds(t, all.Ready && !all.Started.IsZero(), "ready")
	equal(t, len(all.Services), 2)
	for _, s := range all.Services {
		if s.Service == "orders" {
			equal(t, s.Stats.Requests, 1)
			equal(t, s.Endpoints[0].ID, "orders-1")
		}
	}
	equal(t, len(one.Services), 1)
	equal(t, one.Services[0].Service, "web")
	equal(t, len(none.Services), 0)

	noError(t, n.door.Drain(context.Background()))
	n.order(t, "status", "", &all)
	holds(t, !all.Ready, "not ready")
	equal(t, all.Reason, "draining")
}

func TestEndpointsComeAndGo(t *testing.T) {
	web := understudytest.Good(t)
	host := strings.TrimPrefix(web.URL, "http://")
	n := startNode(t, nil)

	// A service on defaults, and its door is open when the operator has the answer.
	r := n.changes(t, "endpoints", fmt.Sprintf(`{"action":"add","service":"orders","endpoint":{"url":%q}}`, web.URL))
	equal(t, r, messages.AdminReply{Node: "a", Endpoint: host})
	equal(t, n.ask(t, "orders", nil, "").Header.Get("Understudy-Endpoint"), host)

	for i := range 30 {
		service := fmt.Sprintf("more-%d", i)
		n.changes(t, "endpoints", fmt.Sprintf(`{"action":"add","service":%q,"endpoint":{"url":%q}}`, service, web.URL))
		n.ask(t, service, nil, "")
	}

	r = n.changes(t, "endpoints", `{"action":"add","service":"orders","endpoint":{"id":"two","url":"http://127.0.0.1:9","weight":2,"tags":["x"],"metadata":{"k":"v"}}}`)
	equal(t, r.Error, nil)
	r = n.changes(t, "endpoints", `{"action":"add","service":"orders","endpoint":{"id":"two","url":"http://127.0.0.1:9"}}`)
	equal(t, r.Error.Code, messages.CodeConflict)

	// What is not given stays.
	r = n.changes(t, "endpoints", `{"action":"update","service":"orders","endpoint":{"id":"two","priority":1,"weight":3}}`)
	equal(t, r.Error, nil)
	e, err := n.sys.Service("orders").Endpoint("two")
	noError(t, err)
	equal(t, []any{e.URL, e.Weight, e.Priority, e.Tags, e.Metadata}, []any{"http://127.0.0.1:9", 3, 1, []string{"x"}, map[string]string{"k": "v"}})
	r = n.changes(t, "endpoints", `{"action":"update","service":"orders","endpoint":{"id":"two","priority":0}}`)
	equal(t, r.Error, nil)
	e, _ = n.sys.Service("orders").Endpoint("two")
	equal(t, e.Priority, 0)

	r = n.changes(t, "endpoints", `{"action":"ls","service":"orders"}`)
	equal(t, []string{r.Endpoints[0].ID, r.Endpoints[1].ID}, []string{host, "two"})
	r = n.changes(t, "endpoints", `{"action":"rm","service":"orders","endpoint":{"id":"two"}}`)
	equal(t, r.Error, nil)
	r = n.changes(t, "endpoints", `{"action":"rm","service":"orders","endpoint":{"id":"two"}}`)
	equal(t, r.Error.Code, messages.CodeNotFound)
}

func TestOperate(t *testing.T) {
	n := startNode(t, services{"orders": over(understudytest.Good(t))})
	r := n.changes(t, "operate", `{"service":"orders","endpoint":"orders-1","verb":"drain","reason":"disk","by":"ann"}`)
	equal(t, r, messages.AdminReply{Node: "a", Endpoint: "orders-1"})
	s := n.sys.Service("orders").Status().Endpoints[0]
	equal(t, []string{string(s.Admin), s.AdminReason}, []string{"drain", "disk"})
	equal(t, problem(t, n.ask(t, "orders", nil, "")).Code, messages.CodeNoEndpoints)
	n.changes(t, "operate", `{"service":"orders","endpoint":"orders-1","verb":"ready"}`)
	equal(t, n.ask(t, "orders", nil, "").Header.Get("Understudy-Status"), "200")
}

func TestBadOrders(t *testing.T) {
	n := startNode(t, services{"orders": over(understudytest.Good(t))})
	for _, tc := range []struct {
		verb, body string
		code       messages.Code
		words      string
	}{
		{"status", `{`, messages.CodeInvalidRequest, "not the JSON that is expected"},
		{"status", `{"servise":"x"}`, messages.CodeInvalidRequest, `unknown field "servise"`},
		{"status", `{} {}`, messages.CodeInvalidRequest, "something follows"},
		{"status", `"` + strings.Repeat("x", 65<<10) + `"`, messages.CodePayloadTooLarge, "65536 at most"},
		{"endpoints", ``, messages.CodeInvalidRequest, "EOF"},
		{"endpoints", `{"action":"replace","service":"orders"}`, messages.CodeInvalidRequest, `"replace" is none of add, update, rm, ls`},
		{"endpoints", `{"action":"add","service":"orders","endpoint":{"id":"x"}}`, messages.CodeInvalidRequest, "url: cannot be empty"},
		{"endpoints", `{"action":"add","service":"new","endpoint":{"url":"http://"}}`, messages.CodeInvalidConfig, "url: has no host"},
		{"endpoints", `{"action":"add","service":"a b","endpoint":{"url":"http://h"}}`, messages.CodeInvalidConfig, `name "a b"`},
		{"endpoints", `{"action":"add","service":"orders","endpoint":{"url":"http://h","weight":-1}}`, messages.CodeInvalidConfig, "weight: -1 is negative"},
		{"endpoints", `{"action":"ls","service":"new"}`, messages.CodeNotFound, "no such service"},
		{"operate", `{"service":"new","endpoint":"x","verb":"drain"}`, messages.CodeNotFound, "no such service"},
		{"operate", `{"service":"orders","endpoint":"x","verb":"drain"}`, messages.CodeNotFound, "not found"},
		{"operate", `{"service":"orders","endpoint":"orders-1","verb":"explode"}`, messages.CodeInvalidRequest, "explode"},
		{"operate", `{"service":"orders","endpoint":"orders-1","verb":"drain","reason":"` + strings.Repeat("x", 1025) + `"}`, messages.CodeInvalidRequest, "reason: 1025 bytes are too long"},
		{"operate", `{"service":"orders","endpoint":"orders-1","verb":"drain","by":"` + strings.Repeat("x", 257) + `"}`, messages.CodeInvalidRequest, "by: 257 bytes are too long"},
	} {
		t.Run(fmt.Sprintf("%s %.60s", tc.verb, tc.body), func(t *testing.T) {
			r := n.changes(t, tc.verb, tc.body)
			holds(t, r.Error != nil, "refused")
			equal(t, r.Error.Code, tc.code)
			contains(t, r.Error.Words(), tc.words)
		})
	}
	equal(t, n.sys.Services(), []string{"orders"})
	equal(t, len(n.sys.Service("orders").Endpoints()), 1)
}

// A status that NATS cannot carry is a clear refusal, and one service still is told of.
func TestStatusTooLarge(t *testing.T) {
	var c actors.ServiceConfig
	for i := range 3000 {
		c.Endpoints = append(c.Endpoints, actors.Endpoint{ID: fmt.Sprintf("orders-%d", i)})
	}
	n := startNode(t, services{"orders": c, "web": {}})
	client := cluster.NewClient(n.caller, "")
	_, err := client.Status(t.Context(), "")
	errorIs(t, err, messages.ErrPayloadTooLarge)
	contains(t, err.Error(), "node a: ")
	contains(t, err.Error(), "ask for one service")
	all, err := client.Status(t.Context(), "web")
	noError(t, err)
	equal(t, len(all), 1)
}

// Every node hears an order and answers for itself.
func TestOrdersReachEveryNode(t *testing.T) {
	server := startServer(t, embedded.Config{}, nil)
	web := understudytest.Good(t)
	a, b := joinNode(t, server, "a", nil), joinNode(t, server, "b", services{"orders": over(web)})
	client := cluster.NewClient(a.caller, "")
	replies, err := client.Endpoints(t.Context(), messages.EndpointsRequest{Action: messages.ActionAdd, Service: "orders",
		Endpoint: messages.EndpointOrder{ID: "orders-1", URL: web.URL}})
	noError(t, err)
	equal(t, len(replies), 2)
	equal(t, []string{replies[0].Node, replies[1].Node}, []string{"a", "b"})
	equal(t, replies[0].Error, nil)
	equal(t, replies[1].Error.Code, messages.CodeConflict)

	replies, err = client.Operate(t.Context(), messages.OperateRequest{Service: "orders", Endpoint: "orders-1", Verb: "maint"})
	noError(t, err)
	equal(t, []*messages.Problem{replies[0].Error, replies[1].Error}, []*messages.Problem{nil, nil})
	for _, n := range []*node{a, b} {
		equal(t, n.sys.Service("orders").Status().Endpoints[0].Admin, messages.AdminMaint)
	}
	all, err := client.Status(t.Context(), "orders")
	noError(t, err)
	equal(t, []string{all[0].Node, all[1].Node}, []string{"a", "b"})
}
