package messages_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/understudy-go/understudy/messages"
)

// What is in testdata went over somebody's wire already: a change here is a
// change of the protocol.
var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant:\n%s", file, got, want)
	}
}

// filled sets every field below v that the wire carries, so that none can be
// renamed or left out unseen.
func filled(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		filled(v.Elem())
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Date(2025, 1, 2, 3, 4, 5, 678_000_000, time.UTC)))
			return
		}
		for i := range v.NumField() {
			filled(v.Field(i))
			if f := v.Field(i); f.Kind() == reflect.String && f.String() == "text" {
				f.SetString(strings.ToLower(v.Type().Field(i).Name))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		filled(v.Index(0))
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"key": "value"}).Convert(v.Type()))
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint64:
		v.SetUint(7)
	case reflect.Float64:
		v.SetFloat(1.5)
	default:
		panic("what is a " + v.Kind().String())
	}
}

func TestGoldenJSON(t *testing.T) {
	for name, v := range map[string]any{
		"cloudevent":        &messages.CloudEvent{},
		"node_status":       &messages.NodeStatus{},
		"problem":           &messages.Problem{},
		"status_request":    &messages.StatusRequest{},
		"endpoints_request": &messages.EndpointsRequest{},
		"operate_request":   &messages.OperateRequest{},
		"admin_reply":       &messages.AdminReply{},
	} {
		t.Run(name, func(t *testing.T) {
			for suffix, fill := range map[string]bool{"": true, "_zero": false} {
				if fill {
					filled(reflect.ValueOf(v).Elem())
				} else {
					reflect.ValueOf(v).Elem().SetZero()
				}
				got, err := json.MarshalIndent(v, "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				golden(t, name+suffix+".json", append(got, '\n'))
				back := reflect.New(reflect.TypeOf(v).Elem())
				if err := json.Unmarshal(got, back.Interface()); err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(back.Interface(), v) {
					t.Errorf("came back as %+v, was %+v", back.Interface(), v)
				}
			}
		})
	}
}

// The names on the wire that are no JSON.
func TestGoldenNames(t *testing.T) {
	var b strings.Builder
	line := func(parts ...string) { b.WriteString(strings.Join(parts, " ") + "\n") }
	for _, h := range []string{
		messages.HeaderMethod, messages.HeaderPath, messages.HeaderKey, messages.HeaderTimeout, messages.HeaderDeadline,
		messages.HeaderIdempotent, messages.HeaderIdempotencyKey, messages.HeaderTraceparent, messages.HeaderTracestate, messages.HeaderBaggage,
	} {
		line("request", h)
	}
	for _, h := range []string{
		messages.HeaderStatus, messages.HeaderEndpoint, messages.HeaderAttempts, messages.HeaderCache, messages.HeaderFallback,
		messages.HeaderError, messages.HeaderRetryAfter, messages.HeaderNATSError, messages.HeaderNATSErrorCode,
	} {
		line("reply", h)
	}
	line("content-type", messages.ContentTypeProblem)
	line("content-type", messages.ContentTypeCloudEvent)
	line("subject", messages.RequestSubject(messages.DefaultPrefix, "orders"))
	line("subject", messages.EventSubject(messages.DefaultPrefix, "orders", "10.0.0.1:80", messages.KindCircuitOpened))
	line("subject", messages.EventSubject(messages.DefaultPrefix, "orders", "", messages.KindServiceAdded))
	for _, verb := range []string{messages.VerbStatus, messages.VerbEndpoints, messages.VerbOperate} {
		line("subject", messages.AdminSubject(messages.DefaultPrefix, verb))
	}
	golden(t, "names.txt", []byte(b.String()))
}

func TestProblemTellsTheError(t *testing.T) {
	for name, tc := range map[string]struct {
		err  *messages.Error
		want messages.Problem
	}{
		"a refusal": {
			&messages.Error{Code: messages.CodeCircuitOpen, Service: "orders", RetryAfter: 8*time.Second + 1},
			messages.Problem{Type: "urn:understudy:CIRCUIT_OPEN", Title: "circuit open", Status: 503, Code: "CIRCUIT_OPEN", Service: "orders", RetryAfter: 8001},
		},
		"words": {
			&messages.Error{Code: messages.CodeInvalidRequest, Words: "timeout -1s is negative"},
			messages.Problem{Type: "urn:understudy:INVALID_REQUEST", Title: "invalid request", Status: 400, Detail: "timeout -1s is negative", Code: "INVALID_REQUEST"},
		},
		"cause and attempts": {
			&messages.Error{Code: messages.CodeRetryExhausted, Service: "orders", Err: errors.New("connection refused"), Attempts: []messages.Attempt{
				{Endpoint: "a", Code: messages.CodeServiceUnavailable, Status: 503, Words: "status 503", Duration: 1234567 * time.Nanosecond},
				{Endpoint: "b", Code: messages.CodeConnectionError, Words: "connection refused", Duration: 2 * time.Millisecond},
			}},
			messages.Problem{Type: "urn:understudy:RETRY_EXHAUSTED", Title: "the attempt failed", Status: 502, Detail: "the attempt failed: connection refused", Code: "RETRY_EXHAUSTED", Service: "orders",
				Attempts: []messages.ProblemAttempt{
					{Endpoint: "a", Code: "SERVICE_UNAVAILABLE", Status: 503, Words: "status 503", Duration: 1.234},
					{Endpoint: "b", Code: "CONNECTION_ERROR", Words: "connection refused", Duration: 2},
				}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := messages.NewProblem(tc.err, tc.err.Status())
			if !reflect.DeepEqual(*p, tc.want) {
				t.Fatalf("got  %+v\nwant %+v", *p, tc.want)
			}
			back := p.Err()
			if !errors.Is(back, &messages.Error{Code: tc.err.Code}) || back.Service != tc.err.Service || len(back.Attempts) != len(tc.err.Attempts) {
				t.Errorf("came back as %+v", back)
			}
			if back.RetryAfter < tc.err.RetryAfter || back.RetryAfter > tc.err.RetryAfter+time.Millisecond {
				t.Errorf("retry after %v, was %v", back.RetryAfter, tc.err.RetryAfter)
			}
			for i, a := range back.Attempts {
				if w := tc.err.Attempts[i]; a.Endpoint != w.Endpoint || a.Code != w.Code || a.Status != w.Status || a.Words != w.Words || a.Duration != w.Duration.Truncate(time.Microsecond) {
					t.Errorf("attempt %d came back as %+v, was %+v", i, a, w)
				}
			}
		})
	}
}

// What a stranger sends is no duration that Go could not hold.
func TestProblemFromAStranger(t *testing.T) {
	for _, body := range []string{`{"retry_after_ms":9223372036854775807}`, `{"retry_after_ms":-5,"attempts":[{"duration_ms":-1e300},{"duration_ms":1e300}]}`} {
		var p messages.Problem
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			t.Fatal(err)
		}
		e := p.Err()
		if e.RetryAfter < 0 {
			t.Errorf("%s: retry after %v", body, e.RetryAfter)
		}
		for _, a := range e.Attempts {
			if a.Duration < 0 {
				t.Errorf("%s: duration %v", body, a.Duration)
			}
		}
	}
}
