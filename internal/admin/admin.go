package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

const (
	headerTimeout = 5 * time.Second
	idleTimeout   = time.Minute
	headerMax     = 16 << 10
)

// Server is the listening door.
type Server struct {
	http *http.Server
	addr string
}

// Listen opens the door at host:port; port 0 takes a free one. Ready says why the
// node does not serve, or "".
func Listen(address string, ready func() string, log *slog.Logger) (*Server, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is taken: choose another address with admin.listen, or turn it off", address)
	}
	if err != nil {
		return nil, fmt.Errorf("admin.listen: %w", err)
	}
	s := &Server{
		addr: l.Addr().String(),
		http: &http.Server{
			Handler:           handler(ready),
			ReadHeaderTimeout: headerTimeout,
			ReadTimeout:       headerTimeout,
			WriteTimeout:      headerTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    headerMax,
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		},
	}
	go func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the admin door fell shut", "error", err)
		}
	}()
	return s, nil
}

func handler(ready func() string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if why := ready(); why != "" {
			say(w, http.StatusServiceUnavailable, why)
			return
		}
		say(w, http.StatusOK, "ok")
	})
	return mux
}

func say(w http.ResponseWriter, status int, words string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, strings.TrimSpace(words)) // who went away needs no answer
}

// URL is where it listens.
func (s *Server) URL() string { return "http://" + s.addr }

// Close ends it: answers under way are given until ctx ends.
func (s *Server) Close(ctx context.Context) error {
	if err := s.http.Shutdown(ctx); err != nil {
		return s.http.Close()
	}
	return nil
}
