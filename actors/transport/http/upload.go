package http

import (
	"context"
	"fmt"
	"io"
	nethttp "net/http"
	"sync"
	"sync/atomic"
)

// upload is the body of a request on its way. It remembers what its reader did
// wrong, so that a caller's mistake does not count against the endpoint, and is
// closed once however many close it.
type upload struct {
	io.ReadCloser
	length  int64 // what was announced, 0 or less: nothing
	read    int64 // only Read uses it
	reading atomic.Bool
	closed  atomic.Bool
	stalled atomic.Bool // it was closed while a Read waited
	fault   atomic.Pointer[error]

	once     sync.Once
	closeErr error
	detach   func() bool // from the context
}

// newUpload watches the body of req. It is closed at the end of ctx too: net/http
// does so for HTTP/2 only, and over HTTP/1.1 waits for a Read that never returns.
func newUpload(ctx context.Context, req *nethttp.Request) *upload {
	u := &upload{ReadCloser: req.Body, length: req.ContentLength}
	u.detach = context.AfterFunc(ctx, u.close)
	return u
}

func (u *upload) Read(p []byte) (int, error) {
	u.reading.Store(true)
	n, err := u.ReadCloser.Read(p)
	u.reading.Store(false)
	u.read += int64(n)
	switch {
	case u.length > 0 && (u.read > u.length || err == io.EOF && u.read < u.length):
		fault := fmt.Errorf("it has another length than the %d bytes announced", u.length)
		u.fault.Store(&fault)
	case err != nil && err != io.EOF && !u.closed.Load():
		u.fault.Store(&err)
	}
	return n, err
}

func (u *upload) Close() error {
	u.detach()
	u.close()
	return u.closeErr
}

func (u *upload) close() {
	u.once.Do(func() {
		u.closed.Store(true)
		u.stalled.Store(u.reading.Load())
		u.closeErr = u.ReadCloser.Close()
	})
}
