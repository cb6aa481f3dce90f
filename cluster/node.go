package cluster

import (
	"math/rand/v2"
	"os"
	"strings"

	"github.com/understudy-go/understudy/messages"
)

// randomMax is how many random letters and digits end a node's name: 6 of 36
// kinds, so that of a thousand nodes with one host name no two are likely to
// have the same one.
const randomMax = 6

// NodeName makes a name for a node: the first label of the host's name and six
// random letters and digits, "web1-x7k2p0". It is another one each time.
func NodeName() string {
	host, _ := os.Hostname()
	return nodeName(host) + "-" + randomToken()
}

// nodeName is as much of a host's name as a node's can have.
func nodeName(host string) string {
	host, _, _ = strings.Cut(host, ".")
	host = strings.Map(func(r rune) rune {
		if messages.CheckName(string(r)) != nil {
			return '-'
		}
		return r
	}, host)
	if host == "" {
		host = "node"
	}
	return host[:min(len(host), messages.NameMax-1-randomMax)]
}

func randomToken() string {
	const kinds = "0123456789abcdefghijklmnopqrstuvwxyz"
	var b [randomMax]byte
	for i := range b {
		b[i] = kinds[rand.IntN(len(kinds))]
	}
	return string(b[:])
}
