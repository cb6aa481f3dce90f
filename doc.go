// Package understudy keeps a Go program answering when the services behind it
// fail: when the lead cannot perform, the understudy goes on.
//
// A [System] holds services, a service holds endpoints. Each endpoint is an
// actor with a circuit breaker and a health of its own; a supervisor actor per
// service sends each request to one of them, by a strategy, and another one gets
// it when that fails.
//
//	us, err := understudy.New(understudy.Config{})
//	defer us.Close()
//	web, err := us.AddService("web", understudy.ServiceConfig{Endpoints: []understudy.Endpoint{
//		{ID: "web-1", URL: "http://127.0.0.1:9001"},
//		{ID: "web-2", URL: "http://127.0.0.1:9002"},
//	}})
//	body, err := understudy.Do(ctx, web, func(ctx context.Context, t understudy.Target) ([]byte, error) {
//		return get(ctx, t.URL())
//	})
//
// An http.Client gets the same by its transport: Service.RoundTripper for one
// service, System.RoundTripper for all of them by the URL's host. Requests as
// messages go through Service.Request, or over NATS when the system is given a
// connection ([WithNATS]).
//
// Every setting has a default that is meant for production: a zero value is the
// default, [Off] turns a number or a duration off. Errors are *messages.Error;
// errors.Is finds the reason by the sentinels of package messages.
//
// What an endpoint's state can be, and what leads to it:
//
//	administrative   ready ◀─ an operator ─▶ drain, maint
//	health           unknown ─first check─▶ healthy ◀─checks─▶ degraded, unhealthy
//	breaker          closed ─failures─▶ open ─open timeout─▶ half_open ─success─▶ closed
//	                                      ▲────────failure────────┘
//
// Picked are endpoints that are ready, not unhealthy, and whose breaker admits;
// an endpoint with a fresh failure is suspect and ranks last.
package understudy
