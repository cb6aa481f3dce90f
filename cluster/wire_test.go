package cluster

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/understudy-go/understudy/messages"
)

// FuzzDecode: whatever bytes come as headers, the request is one that may be
// served, or a refusal that says why.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"Understudy-Method: GET\r\nUnderstudy-Path: /a?b=c\r\nUnderstudy-Timeout: 1.5s\r\n",
		"Understudy-Deadline: 1735787045678\r\nUnderstudy-Idempotent: true\r\nUnderstudy-Key: k\r\n",
		"understudy-timeout: 1s\r\n", "Understudy-Timeout: -1s\r\n", "Understudy-Timeout: 1s\r\nUnderstudy-Timeout: 2s\r\n",
		"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nIDEMPOTENCY-KEY: x\r\nNats-X: y\r\n",
		"Understudy-Deadline: -9223372036854775808\r\n", "Understudy-Deadline: 9223372036854775807\r\nUnderstudy-Timeout: 2562047h\r\n", "X: a\rb\r\n", ": empty\r\n", "Understudy-: x\r\n",
	} {
		f.Add([]byte("NATS/1.0\r\n" + seed + "\r\n"))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		header, err := nats.DecodeHeadersMsg(data)
		if err != nil {
			return
		}
		var m messages.Request
		if e := decode(&m, header, []byte("body")); e != nil {
			if e.Code != messages.CodeInvalidRequest || e.Words == "" || strings.ContainsAny(e.Words, "\r\n") {
				t.Fatalf("refused with %+v", e)
			}
			return
		}
		if m.Timeout < 0 || m.Timeout > waitMax || !m.Deadline.IsZero() && time.Until(m.Deadline) > waitMax {
			t.Fatalf("timeout %v, deadline %v", m.Timeout, m.Deadline)
		}
		if strings.ContainsAny(m.Method+m.Path+m.Key, "\r\n\x00") {
			t.Fatalf("a line break came through: %+v", m)
		}
		size := 0
		for name, values := range m.Header {
			if l := strings.ToLower(name); strings.HasPrefix(l, "understudy-") || strings.HasPrefix(l, "nats-") {
				t.Fatalf("%q came through", name)
			}
			for _, v := range values {
				if size += len(name) + len(v); size > headersMax || len(v) > headerMax {
					t.Fatalf("%q of %d bytes came through", name, len(v))
				}
			}
		}
	})
}

// FuzzReply: whatever a stranger answers, the client makes an answer or an error of it.
func FuzzReply(f *testing.F) {
	f.Add([]byte("NATS/1.0\r\nUnderstudy-Status: 200\r\nUnderstudy-Attempts: 1\r\nUnderstudy-Endpoint: a\r\n\r\n"), []byte("x"))
	f.Add([]byte("NATS/1.0\r\nUnderstudy-Status: 503\r\nUnderstudy-Error: CIRCUIT_OPEN\r\nRetry-After: 9\r\n\r\n"), []byte(`{"code":"CIRCUIT_OPEN","attempts":[{"duration_ms":1e99}]}`))
	f.Add([]byte("NATS/1.0\r\nUnderstudy-Attempts: 1\r\n\r\n"), []byte(nil))
	f.Add([]byte("NATS/1.0\r\nUnderstudy-Status: 200\r\nUnderstudy-Attempts: 99999999\r\n\r\n"), []byte(nil))
	f.Fuzz(func(t *testing.T, head, body []byte) {
		header, err := nats.DecodeHeadersMsg(head)
		if err != nil {
			return
		}
		resp, err := readReply("orders", &nats.Msg{Header: header, Data: body})
		var e *messages.Error
		if (resp == nil) != (err != nil) && (resp == nil || err == nil || resp.Err == nil) {
			t.Fatalf("%+v, %v", resp, err)
		}
		if err != nil && (!errors.As(err, &e) || e.RetryAfter < 0) {
			t.Fatalf("error %#v", err)
		}
		if resp != nil && len(resp.Attempts) > attemptsMax {
			t.Fatalf("%d attempts", len(resp.Attempts))
		}
	})
}

// What the client writes is what the door reads.
func TestRequestGoesRound(t *testing.T) {
	want := messages.Request{Method: "PUT", Path: "/a?b=c", Key: "k", Timeout: 1500 * time.Millisecond, Idempotent: true,
		Deadline: time.UnixMilli(time.Now().Add(time.Hour).UnixMilli()), Header: messages.Header{"X-Own": {"1", "2"}}, Body: []byte("x")}
	header, refused := encode(t.Context(), &want)
	if refused != nil {
		t.Fatal(refused)
	}
	var got messages.Request
	if refused := decode(&got, header, want.Body); refused != nil {
		t.Fatal(refused)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

func TestRetryAfterIsRoundedUp(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "", 1: "1", time.Second: "1", time.Second + 1: "2", 8700 * time.Millisecond: "9"} {
		h := nats.Header{}
		setRetryAfter(h, &messages.Error{RetryAfter: d})
		if got := h.Get(messages.HeaderRetryAfter); got != want {
			t.Errorf("%v became %q, want %q", d, got, want)
		}
	}
}

// 413 is about the request, and 502 about an answer that was made.
func TestTooLargeIsWhose(t *testing.T) {
	for want, attempts := range map[string][]messages.Attempt{"413": nil, "502": {{Endpoint: "a", Code: messages.CodePayloadTooLarge}}} {
		msg, _ := answer("orders", nil, &messages.Error{Code: messages.CodePayloadTooLarge, Attempts: attempts})
		if got := msg.Header.Get(messages.HeaderStatus); got != want {
			t.Errorf("status %s, want %s", got, want)
		}
	}
}

// No two events of one source have the same id, losses and restarts included.
func TestEventIDs(t *testing.T) {
	ids := map[string]bool{}
	for range 3 {
		p := newPublisher(nil, DoorConfig{Node: "a"})
		for _, e := range []messages.Event{{Kind: messages.KindEventsLost}, {Sequence: 7}, {Kind: messages.KindEventsLost}, {Sequence: 9}, {Kind: messages.KindEventsLost}} {
			id := p.cloudEvent(&e).ID
			if ids[id] {
				t.Errorf("%s twice", id)
			}
			ids[id] = true
		}
	}
}

func TestNodeNames(t *testing.T) {
	for host, want := range map[string]string{
		"": "node", "web1.example.com": "web1", "web 1": "web-1", "bücher": "b-cher", strings.Repeat("x", 99): strings.Repeat("x", 57),
	} {
		if got := nodeName(host); got != want {
			t.Errorf("%q became %q, want %q", host, got, want)
		}
	}
	a, b := NodeName(), NodeName()
	if a == b {
		t.Errorf("twice %s", a)
	}
	if err := messages.CheckName(a); err != nil {
		t.Error(err)
	}
}

func TestMicroVersions(t *testing.T) {
	for v, want := range map[string]string{
		"": "0.0.0", "dev": "0.0.0", "(devel)": "0.0.0", "1.2.3": "1.2.3", "v1.2.3": "1.2.3", "v1.2.3-rc1+dirty": "1.2.3", "1.2": "0.0.0", "01.2.3": "0.0.0",
	} {
		if got := microVersion(v); got != want {
			t.Errorf("%q became %q, want %q", v, got, want)
		}
	}
}

// Whatever an endpoint's error says, no line of the answer holds a secret or an
// address.
func TestPublicHidesCauses(t *testing.T) {
	cause := fmt.Errorf("dial: %w", errors.New("password=hidden at https://u:hidden@host"))
	for _, err := range []error{cause, &messages.Error{Code: messages.CodeRetryExhausted, Err: cause}} {
		msg, failed := answer("orders", nil, err)
		if failed == nil || strings.Contains(string(msg.Data)+fmt.Sprint(msg.Header)+failed.Error(), "hidden") {
			t.Errorf("%v: %s %v", err, msg.Data, msg.Header)
		}
	}
}
