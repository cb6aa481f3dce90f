// Package admin is the administrative door over HTTP, for whoever runs the
// process: an orchestrator's probes.
//
//	GET /livez    200 while the process runs
//	GET /readyz   200 when requests are served, else 503 and the reason
//
// It says nothing that is secret and changes nothing, and still belongs on
// loopback or a private network.
package admin
