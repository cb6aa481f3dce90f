package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const twoServices = `
services:
  orders:
    timeout: 7s
    strategy: {pick: weighted, weights: {orders-1: 2}}
    endpoints: [{id: orders-1, url: "http://a"}, {id: orders-2, url: "http://b"}]
    headers: {X-Api-Key: k}
  Billing-API: {timeout: 7s}
`

// "UNDERSTUDY_CFG__SERVICES__ORDERS__TIMEOUT overrides any key"
func TestVariablesOverrideAnyKey(t *testing.T) {
	f := mustLoad(t, twoServices,
		"UNDERSTUDY_CFG__SERVICES__ORDERS__TIMEOUT=9s",
		"UNDERSTUDY_CFG__SERVICES__BILLING_API__TIMEOUT=off",
		"UNDERSTUDY_CFG__services__Orders__Breaker__Recovery_Timeout=8s",
		"UNDERSTUDY_CFG__SERVICES__ORDERS__RETRY__MAX_RETRIES=4",
		"UNDERSTUDY_CFG__SERVICES__ORDERS__STRATEGY__WEIGHTS__ORDERS_1=5",
		"UNDERSTUDY_CFG__SERVICES__ORDERS__HEADERS__X_API_KEY=*not: yaml [#",
		"UNDERSTUDY_CFG__SERVICES__ORDERS__HEADERS__NEW=${as it is}",
		"UNDERSTUDY_CFG__SERVICES__ORDERS__ENDPOINTS__1__URL=http://c",
		"UNDERSTUDY_CFG__SERVICES__ORDERS__ENDPOINTS__2__ID=orders-3",
		"UNDERSTUDY_CFG__SERVICES__SHIPPING__TIMEOUT=3s",
		"UNDERSTUDY_CFG__DEFAULTS__ATTEMPT_TIMEOUT=4s",
		"UNDERSTUDY_CFG__NODE={name: b, location: [1, 2]}",
		"UNDERSTUDY_CFG__NODE__ZONE=z",
		"UNDERSTUDY_CFG__ADMIN=off",
		"UNDERSTUDY_CFG_SERVICES__ORDERS__TIMEOUT=not ours",
		"UNDERSTUDY_PORT=tcp://10.0.0.1:80",
	)
	c := f.Services["orders"]
	require.Equal(t, 9*time.Second, c.Timeout)
	require.Equal(t, 8*time.Second, c.Breaker.OpenTimeout)
	require.Equal(t, 5, c.Retry.MaxAttempts)
	require.Equal(t, map[string]int{"orders-1": 5}, c.Strategy.Weights)
	require.Equal(t, map[string]string{"X-Api-Key": "*not: yaml [#", "new": "${as it is}"}, c.Headers)
	require.Equal(t, []string{"http://a", "http://c", ""}, []string{c.Endpoints[0].URL, c.Endpoints[1].URL, c.Endpoints[2].URL})
	require.Equal(t, "orders-3", c.Endpoints[2].ID)
	require.Equal(t, -time.Nanosecond, f.Services["Billing-API"].Timeout)
	require.Equal(t, 3*time.Second, f.Services["shipping"].Timeout)
	require.Equal(t, 4*time.Second, f.Services["shipping"].AttemptTimeout, "defaults that a variable gave are inherited")
	require.Equal(t, Node{Name: "b", Zone: "z", Location: []float64{1, 2}}, f.Node)
	require.Equal(t, "off", f.Admin.Listen)
}

func TestAVariableTakesWholeBlocks(t *testing.T) {
	f := mustLoad(t, twoServices,
		"UNDERSTUDY_CFG__SERVICES__ORDERS__ENDPOINTS=[{id: x, url: 'http://x'}]",
		"UNDERSTUDY_CFG__SERVICES__ORDERS__STRATEGY=random",
		"UNDERSTUDY_CFG__SERVICES__ORDERS__HEADERS=",
		"UNDERSTUDY_CFG__SERVICES__ORDERS__TIMEOUT=",
		"UNDERSTUDY_CFG__SERVICES__ORDERS__BREAKER={delay: 3s}",
	)
	c := f.Services["orders"]
	require.Len(t, c.Endpoints, 1)
	require.Equal(t, "random", c.Strategy.Pick)
	require.Empty(t, c.Strategy.Weights)
	require.Empty(t, c.Headers)
	require.Zero(t, c.Timeout, "empty takes a key back to its default")
	require.Equal(t, 3*time.Second, c.Breaker.OpenTimeout)
}

func TestWhatIsWrongWithAVariableNamesIt(t *testing.T) {
	const v = "UNDERSTUDY_CFG__"
	for variable, want := range map[string]string{
		"SERVICES__ORDERS__TIMOUT=3s":           v + "SERVICES__ORDERS__TIMOUT: services.orders.timout: unknown key, did you mean TIMEOUT?",
		"SERVICES__ORDERS__TIMEOUT=3":           v + "SERVICES__ORDERS__TIMEOUT: services.orders.timeout: 3 has no unit, write 3s",
		"SERVICES__ORDERS__TIMEOUT__MAX=3s":     v + "SERVICES__ORDERS__TIMEOUT__MAX: services.orders.timeout.max: unknown key, services.orders.timeout is a single value",
		"SERVICES__ORDERS__ENDPOINTS__7__ID=x":  v + "SERVICES__ORDERS__ENDPOINTS__7__ID: services.orders.endpoints.7: no such item, there are 2, counted from 0",
		"SERVICES__ORDERS__ENDPOINTS__X__ID=x":  v + "SERVICES__ORDERS__ENDPOINTS__X__ID: services.orders.endpoints.x: no such item, there are 2, counted from 0",
		"SERVICES__ORDERS__ENDPOINTS__0__URL=x": v + "SERVICES__ORDERS__ENDPOINTS__0__URL: services.orders.endpoints[0].url: scheme \"\" is not supported: http or https",
		"SERVICES__ORDERS__BREAKER={delay: 3s":  v + "SERVICES__ORDERS__BREAKER:2:1: services.orders.breaker: not YAML: did not find expected ',' or '}' while parsing a flow mapping",
		"SERVICES__ORDERS__BREAKER={dely: 3s}":  v + "SERVICES__ORDERS__BREAKER:1:2: services.orders.breaker.dely: unknown key, did you mean delay?",
		"SERVICES__ORDERS__BREAKER=[]":          v + "SERVICES__ORDERS__BREAKER: services.orders.breaker: is a list, needs a mapping of keys",
		"SERVICES__ORDERS__RETRY__JITTER=x":     v + "SERVICES__ORDERS__RETRY__JITTER: services.orders.retry.jitter: \"x\" is not full, none or a duration such as 500ms",
		"SERVICES__ORDERS__RETRY__JITTER__X=x":  v + "SERVICES__ORDERS__RETRY__JITTER__X: services.orders.retry.jitter.x: unknown key, services.orders.retry.jitter is a single value",
		"SERVICES__ORDERS__CONCURRENCY=0":       v + "SERVICES__ORDERS__CONCURRENCY: services.orders.concurrency.max: 0 means nothing here, leave the key out for the default of 1024, or write off",
		"NODE__NAME=a b":                        v + "NODE__NAME: node.name: name \"a b\" has ' ': only letters, digits, \"_\" and \"-\" are allowed",
		"NODE__TLS__CA=x":                       v + "NODE__TLS__CA: node.tls: unknown key",
		"=x":                                    v + ": unknown key",
	} {
		_, err := loadText(t, twoServices, v+variable)
		require.EqualError(t, err, want, variable)
	}
}

func TestAVariableThatCouldMeanTwoServices(t *testing.T) {
	m := mistake(t, "services: {orders-api: {}, orders_api: {}}", "UNDERSTUDY_CFG__SERVICES__ORDERS_API__TIMEOUT=3s")
	require.Equal(t, "UNDERSTUDY_CFG__SERVICES__ORDERS_API__TIMEOUT: services.orders_api: could be orders-api or orders_api, change it in the file", m.String())
}

// The nats command's variables count where the files say nothing.
func TestNATSVariables(t *testing.T) {
	all := []string{"NATS_URL=nats://env", "NATS_USER=u", "NATS_PASSWORD=p", "NATS_CA=testdata/design.yaml"}

	f := mustLoad(t, "", all...)
	require.Equal(t, "nats://env", f.NATS.URL)
	require.Equal(t, "u", f.NATS.User)
	require.Equal(t, "p", f.NATS.Password)
	require.Equal(t, "testdata/design.yaml", f.NATS.TLS.CA, "relative to nothing but the working directory")

	f = mustLoad(t, "nats: {url: nats://file}", all...)
	require.Equal(t, "nats://file", f.NATS.URL)
	require.Equal(t, "u", f.NATS.User)

	f = mustLoad(t, "nats: {user: me}", all...)
	require.Equal(t, "me", f.NATS.User)
	require.Equal(t, "p", f.NATS.Password)

	f = mustLoad(t, "nats: {token: t}", all...)
	require.Equal(t, "nats://env", f.NATS.URL)
	require.Empty(t, f.NATS.User+f.NATS.Password)

	f = mustLoad(t, "nats: {url: 'nats://me:secret@file'}", all...)
	require.Empty(t, f.NATS.User, "the address says who we are")

	f = mustLoad(t, "nats: {embedded: {}}", all...)
	require.False(t, f.NATS.External())

	f = mustLoad(t, "", append(all, "UNDERSTUDY_CFG__NATS__EMBEDDED={}")...)
	require.False(t, f.NATS.External())

	f = mustLoad(t, "", append(all, "UNDERSTUDY_CFG__NATS__URL=nats://ours", "NATS_CREDS=")...)
	require.Equal(t, "nats://ours", f.NATS.URL)

	f = mustLoad(t, "", "NATS_URL=nats://t0ken@env", "NATS_USER=u")
	require.Empty(t, f.NATS.User)

	_, err := loadText(t, "", "NATS_URL=natz://env", "NATS_CREDS=/nowhere/else.creds")
	require.EqualError(t, err, `NATS_CREDS: nats.creds: no such file
NATS_URL: nats.url: has the unknown scheme "natz": nats, tls, ws or wss is needed`)
}

func TestVariablesInValues(t *testing.T) {
	env := []string{"HOST=h", "EMPTY=", "N=3", "TRICKY={a: ${HOST}}\nb: c"}
	for text, want := range map[string]string{
		"${HOST}":                              "h",
		"a${HOST}b${HOST}":                     "ahbh",
		"'${HOST}'":                            "h",
		`"${HOST}"`:                            "h",
		"${EMPTY}x":                            "x",
		"${NONE:-d}":                           "d",
		"${EMPTY:-d}":                          "d",
		"${HOST:-d}":                           "h",
		"${NONE:-}x":                           "x",
		"${NONE:-${HOST}}":                     "h",
		"${NONE:-${NEITHER:-d}}":               "d",
		"${NONE:-http://x:1/?a=b}":             "http://x:1/?a=b",
		"$HOST":                                "$HOST",
		"$${HOST}":                             "${HOST}",
		"a$${HOST}${HOST}":                     "a${HOST}h",
		"$$":                                   "$$",
		"${TRICKY}":                            "{a: ${HOST}}\nb: c",
		"$2a$11$x":                             "$2a$11$x",
		"|-\n        one ${HOST}\n        two": "one h\ntwo",
	} {
		c := orders(t, "\n    metadata:\n      k: "+text+"\n", env...)
		require.Equal(t, want, c.Metadata["k"], text)
	}
	require.Equal(t, 3, orders(t, "{concurrency: \"${N}\"}", env...).Concurrency.Max)
	require.Zero(t, orders(t, "\n    timeout: ${EMPTY}", env...).Timeout, "what a variable left empty was not given")
	require.Zero(t, orders(t, "{timeout: '${NONE:-}'}", "NONE=1s", "NONE=").Timeout, "the last of two counts")
	require.Equal(t, "inside {…} and […] put ${VAR} in quotes", mistake(t, "services: {orders: {timeout: ${N}}}", env...).Hint)
}
