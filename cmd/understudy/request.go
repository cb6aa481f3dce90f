package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/understudy-go/understudy/internal/show"
	"github.com/understudy-go/understudy/messages"
)

const (
	// requestTimeout is a service's own default and a little more.
	requestTimeout = 35 * time.Second
	// answerGrace is how much longer than the node the command waits, so that the
	// node's word on what it tried arrives.
	answerGrace = time.Second
	// bodyMax bounds what is read from a file. NATS by default carries less.
	bodyMax = 64 << 20
)

type asking struct {
	*globals
	method, path, data, key string
	headers                 []string
	idempotent, verbose     bool
}

func requestCommand(g *globals) *cobra.Command {
	a := &asking{globals: g}
	c := &cobra.Command{
		Use:   "request SERVICE",
		Short: "Ask a service",
		Long: `Ask a service over NATS, as a program would, and print the body of the answer.

Exit status: 0 for an answer below 400, 5 when there was none in time, 6 when no
endpoint could be asked or no node serves the service, else 1. What went wrong,
and with -v which endpoint answered, goes to standard error.

--timeout bounds the whole request with its retries; the service's own timeout may
be shorter.`,
		Example: `  understudy request orders --path /orders
  understudy request orders -X POST -d '{"item":"tea"}' -H Content-Type:application/json
  understudy request orders -X PUT --path /orders/7 -d @order.json --idempotent -v
  echo hello | understudy request echo -d -`,
		Args: args(cobra.ExactArgs(1), "one service"),
		RunE: a.run,
	}
	f := c.Flags()
	f.StringVarP(&a.method, "method", "X", "", "HTTP `method` (default GET, or POST with data)")
	f.StringVar(&a.path, "path", "", "`path` with its query (default /)")
	f.StringArrayVarP(&a.headers, "header", "H", nil, "a header, `name:value`; may be given more than once")
	f.StringVarP(&a.data, "data", "d", "", "the `body`: a text, @file, or - for standard input")
	f.StringVar(&a.key, "key", "", "`key` for strategies that send one key to one endpoint")
	f.BoolVar(&a.idempotent, "idempotent", false, "the request may be repeated, whatever its method")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "say who answered")
	return c
}

func (a *asking) run(c *cobra.Command, given []string) error {
	m, err := a.message(c)
	if err != nil {
		return err
	}
	client, done, err := a.connect(nil)
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithTimeout(c.Context(), cmp.Or(a.timeout, requestTimeout)+answerGrace)
	defer cancel()
	began := time.Now()
	resp, err := client.Request(ctx, given[0], m)
	var failure *messages.Error
	if err != nil && !errors.As(err, &failure) {
		return err
	}
	if err := a.answer(c.OutOrStdout(), resp, failure, time.Since(began)); err != nil {
		return err
	}
	if resp != nil && a.verbose {
		fmt.Fprintf(c.ErrOrStderr(), "status %d from %s, %s, %s\n", resp.Status, source(resp), plural(len(resp.Attempts), "attempt"), show.Latency(time.Since(began)))
	}
	switch {
	case failure != nil && failure.Code == messages.CodeNotFound:
		return statusError{failure, exitUnavailable}
	case failure != nil:
		return failure
	case resp.Status >= 400:
		return fmt.Errorf("%s answered %d", source(resp), resp.Status)
	}
	return nil
}

func (a *asking) message(c *cobra.Command) (*messages.Request, error) {
	m := &messages.Request{Method: a.method, Path: a.path, Key: a.key, Idempotent: a.idempotent, Timeout: a.timeout, Header: messages.Header{}}
	for _, h := range a.headers {
		name, value, ok := strings.Cut(h, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, usagef("-H %q: name:value is needed", h)
		}
		m.Header[name] = append(m.Header[name], strings.TrimSpace(value))
	}
	var err error
	switch {
	case a.data == "-":
		m.Body, err = readBody(c.InOrStdin(), "standard input")
	case strings.HasPrefix(a.data, "@"):
		var f *os.File
		if f, err = os.Open(a.data[1:]); err != nil {
			return nil, err
		}
		defer f.Close()
		m.Body, err = readBody(f, a.data[1:])
	default:
		m.Body = []byte(a.data)
	}
	if m.Method == "" && c.Flags().Changed("data") {
		m.Method = "POST" // even if there is nothing in it
	}
	return m, err
}

func readBody(r io.Reader, from string) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, bodyMax+1))
	if err == nil && len(body) > bodyMax {
		err = &messages.Error{Code: messages.CodePayloadTooLarge, Words: fmt.Sprintf("%s has more than %d bytes", from, bodyMax)}
	}
	return body, err
}

// source is who gave an answer.
func source(r *messages.Response) string {
	if r.Fallback {
		return "the fallback"
	}
	return show.Plain(r.Endpoint)
}

// reply is an answer for programs.
type reply struct {
	Status   int                 `json:"status,omitempty"`
	Endpoint string              `json:"endpoint,omitempty"`
	Attempts int                 `json:"attempts,omitempty"`
	Fallback bool                `json:"fallback,omitempty"`
	Headers  map[string][]string `json:"headers,omitempty"`
	Body     string              `json:"body,omitempty"`
	Base64   string              `json:"body_base64,omitempty"` // in place of body, where that is no text
	Millis   float64             `json:"duration_ms"`
	Error    *messages.Problem   `json:"error,omitempty"`
}

// answer prints the body as it came, or all of the answer for programs.
func (a *asking) answer(w io.Writer, resp *messages.Response, failure *messages.Error, took time.Duration) error {
	if a.output == "table" {
		if resp == nil {
			return nil
		}
		_, err := w.Write(resp.Body)
		return err
	}
	out := reply{Millis: float64(took.Microseconds()) / 1000}
	if failure != nil {
		out.Error = messages.NewProblem(failure, failure.Status())
	}
	if resp != nil {
		out.Status, out.Endpoint, out.Attempts, out.Fallback, out.Headers = resp.Status, resp.Endpoint, len(resp.Attempts), resp.Fallback, resp.Header
		if utf8.Valid(resp.Body) {
			out.Body = string(resp.Body)
		} else {
			out.Base64 = base64.StdEncoding.EncodeToString(resp.Body)
		}
	}
	return a.print(w, out, nil)
}
