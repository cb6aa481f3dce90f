package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/understudy-go/understudy/actors"
	"github.com/understudy-go/understudy/cluster"
	"github.com/understudy-go/understudy/messages"
)

// section is a block of what was written, its path, and what it inherits from, if
// it does.
type section struct {
	*loading
	node *node
	path string
	base *node
}

// sub is the section of a key that was written.
func (s section) sub(key string) section {
	return section{s.loading, s.node.value(key), join(s.path, key), s.base}
}

// check asks every part of f what is wrong with it, and finds the line of each
// answer below root.
func (l *loading) check(f *File, root *node) {
	all := section{l, root, "", nil}
	all.faults("node", f.Node.validate())
	all.faults("nats", f.NATS.validate())
	all.faults("admin", f.Admin.validate())
	all.faults("", checkPrefix(f.Prefix))
	all.checkFile("nats.creds", &f.NATS.Creds)
	all.checkFile("nats.nkey", &f.NATS.NKey)
	all.checkFile("nats.tls.ca", &f.NATS.TLS.CA)
	all.checkFile("nats.tls.cert", &f.NATS.TLS.Cert)
	all.checkFile("nats.tls.key", &f.NATS.TLS.Key)
	if f.Defaults != nil {
		defaults := all.sub("defaults")
		defaults.checkService(*f.Defaults)
		if len(f.Defaults.Endpoints) > 0 {
			defaults.fault("endpoints", "belong to one service, they cannot be inherited")
		}
		defaults.warnDefaults(*f.Defaults, f.Services)
	}
	if len(f.Services) > actors.ServicesMax {
		all.fault("services", fmt.Sprintf("%d are above the bound of %d", len(f.Services), actors.ServicesMax))
	}
	if len(f.Services) == 0 {
		return
	}
	services := all.sub("services")
	services.base = root.value("defaults")
	for _, e := range services.node.entries {
		c, service := f.Services[e.key], section{l, e.value, join(services.path, e.key), services.base}
		if err := messages.CheckName(e.key); err != nil {
			service.fault("", err.Error())
		}
		service.checkService(c)
		service.warn(c)
	}
	services.checkFallbacks(f.Services)
}

func (s section) checkService(c actors.ServiceConfig) {
	s.faults("", c.Validate())
	if c.TLS != nil {
		s.checkFile("tls.ca", &c.TLS.CA)
		s.checkFile("tls.cert", &c.TLS.Cert)
		s.checkFile("tls.key", &c.TLS.Key)
	}
	if c.Hedge != nil && c.Hedge.Delay == 0 {
		s.refuseZero("hedge.delay", "leave the key out for the service's own 95th percentile, or write hedge: off")
	}
	for i, e := range c.Endpoints {
		endpoint := item("endpoints", i)
		if e.Weight == 0 {
			s.refuseZero(endpoint+".weight", "leave the key out for the default of 1, or drain the endpoint to take it out")
		}
	}
}

// refuseZero is about zeros that mean a default which no WithDefaults tells, see
// checkZero.
func (s section) refuseZero(key, hint string) {
	if n, exact := find(s.node, key); exact && !n.null {
		s.fault(key, "0 means nothing here: "+hint)
	}
}

// checkFile makes the path of a file that a file names relative to the file that
// names it, and reports one that is not there.
func (s section) checkFile(key string, value *string) {
	n, exact := find(s.node, key)
	if *value == "" || !exact {
		return
	}
	if !filepath.IsAbs(*value) && n.at.line > 0 {
		*value = filepath.Join(filepath.Dir(n.at.file), *value)
	}
	info, err := os.Stat(*value)
	words := ""
	switch {
	case errors.Is(err, os.ErrNotExist):
		words = "no such file"
	case err != nil:
		words = "the file cannot be read"
	case info.IsDir():
		words = "is a directory, needs a file"
	default:
		return
	}
	if path := join(s.path, key); !n.secret && !secretPath(path) {
		words += ": " + *value
	}
	s.fault(key, words)
}

// faults reports what the Validate of a block below s found.
func (s section) faults(block string, err error) {
	for _, f := range flatten(err) {
		if names := strings.Split(f.path, ", "); len(names) > 1 { // "user, token: only one of them"
			f.words = f.path + ": " + f.words
			f.path = names[max(0, slices.IndexFunc(names, func(name string) bool {
				_, written := find(s.node, join(block, name))
				return written
			}))]
		}
		if f.path == "" {
			s.fault(block, f.words)
		} else {
			s.fault(join(block, f.path), f.words)
		}
	}
}

// fault reports what is wrong with a key where the key was written, or failing
// that at the nearest block around it.
func (s section) fault(key, words string) {
	n, exact := find(s.node, key)
	if n.broken {
		return // it is wrong already, what follows from that is noise
	}
	path := s.path
	if key != "" {
		path = join(path, key)
	}
	if exact && n.kind == scalar && (n.secret || secretPath(path)) {
		words = withoutParts(words, n.text)
	}
	s.bad(n.at, path, words, "")
}

// find goes down path as far as it leads, and reports whether that was all the
// way.
func find(n *node, path string) (*node, bool) {
	for path != "" {
		next := step(n, &path)
		if next == nil {
			return n, false
		}
		n = next
	}
	return n, true
}

// step takes the first part off path and goes there. Names may hold dots, so of
// the keys that path can begin with the longest counts.
func step(n *node, path *string) *node {
	if digits, ok := strings.CutPrefix(*path, "["); ok {
		number, rest, _ := strings.Cut(digits, "]")
		i, err := strconv.Atoi(number)
		if err != nil || i < 0 || i >= len(n.items) {
			return nil
		}
		*path = strings.TrimPrefix(rest, ".")
		return n.items[i]
	}
	var best *entry
	for _, e := range n.entries {
		rest, ok := strings.CutPrefix(*path, e.key)
		if ok && (rest == "" || rest[0] == '.' || rest[0] == '[') && (best == nil || len(e.key) > len(best.key)) {
			best = e
		}
	}
	if best == nil {
		return nil
	}
	*path = strings.TrimPrefix((*path)[len(best.key):], ".")
	return best.value
}

func (n Node) validate() error {
	var errs []error
	if n.Name != "" {
		if err := messages.CheckName(n.Name); err != nil {
			errs = append(errs, fmt.Errorf("name: %w", err))
		}
	}
	_, err := n.Place()
	return errors.Join(append(errs, err)...)
}

func (n NATS) validate() error {
	if n.Embedded == nil {
		if !n.External() {
			return nil
		}
		return n.Config.WithDefaults().Validate()
	}
	var errs []error
	if n.URL != "" {
		errs = append(errs, errors.New("url: stands beside embedded, and there is only one server: leave one of them out"))
	} else if n.Config != (cluster.Config{}) {
		errs = append(errs, errors.New("user, token, creds, nkey, tls: are for another server; those of the embedded one stand under embedded"))
	}
	for _, f := range flatten(n.Embedded.WithDefaults().Validate()) {
		errs = append(errs, fmt.Errorf("embedded.%s: %s", f.path, f.words))
	}
	return errors.Join(errs...)
}

func (a Admin) validate() error {
	if a.Listen == "" || a.Listen == "off" {
		return nil
	}
	_, port, err := net.SplitHostPort(a.Listen)
	if err != nil {
		return fmt.Errorf("listen: %q is not host:port", a.Listen)
	}
	if p, err := strconv.Atoi(port); err != nil || p < 0 || p > 65535 {
		return fmt.Errorf("listen: %q has no port from 0 to 65535", a.Listen)
	}
	return nil
}

// checkPrefix wants tokens of a NATS subject.
func checkPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	for token := range strings.SplitSeq(prefix, ".") {
		if err := messages.CheckName(token); err != nil {
			return fmt.Errorf("prefix: %q is no subject: names of letters, digits, \"_\" and \"-\", with dots between", prefix)
		}
	}
	return nil
}
