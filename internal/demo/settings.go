package demo

import (
	"fmt"
	"strconv"
	"strings"
)

const service = "orders"

var ids = []string{"orders-1", "orders-2", "orders-3"}

// Settings is the configuration that the demo's node runs on: what differs from
// the defaults, and why.
func Settings(store string, urls []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# What understudy demo runs. Whatever is not here is on its default.
node: {name: demo}
nats:
  embedded: {listen: "127.0.0.1:0", store: %s}   # a free port
services:
  %s:
    attempt_timeout: 1s   # a call that stalls costs another attempt, not a failure
    health:
      http: {path: /health}
      interval: 500ms     # who is back is seen within a second
    endpoints:
`, strconv.Quote(store), service)
	for i, url := range urls {
		fmt.Fprintf(&b, "      - {id: %s, url: %q}\n", ids[i], url)
	}
	return b.String()
}

// ExampleSettings is what --show-config prints, with addresses that the demo
// would choose for itself.
func ExampleSettings() string {
	return Settings("/tmp/understudy-demo", []string{"http://127.0.0.1:9001", "http://127.0.0.1:9002", "http://127.0.0.1:9003"})
}
