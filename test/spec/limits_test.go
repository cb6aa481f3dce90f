package spec

import (
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/understudytest"
)

// "29. […] Pool of 10: the 11th concurrent call waits."
func TestLimits29Pool(t *testing.T) {
	var inflight, most atomic.Int32
	release := make(chan struct{})
	server := understudytest.Serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		n := inflight.Add(1)
		defer inflight.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	s := add(t, start(t), "svc", understudy.ServiceConfig{Endpoints: []understudy.Endpoint{server.Endpoint("a")},
		AttemptTimeout: understudy.Off, Pool: understudy.Pool{Max: 10}})
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			resp, err := s.Request(t.Context(), &messages.Request{})
			if err != nil || resp.Status != 200 {
				t.Error(resp, err)
			}
		})
	}
	server.AwaitHits(10)
	for status(t, s, "a").Inflight < 30 {
		runtime.Gosched() // until every call is on its way
	}
	require.EqualValues(t, 10, inflight.Load())
	for range 30 { // one answer lets one in
		release <- struct{}{}
	}
	all.Wait()
	require.EqualValues(t, 10, most.Load(), "never more than 10")
	require.Equal(t, 30, server.Hits())
}
