package config

import (
	"crypto/sha256"

	"github.com/understudy-go/understudy/actors"
	"github.com/understudy-go/understudy/actors/balance"
	"github.com/understudy-go/understudy/cluster"
	"github.com/understudy-go/understudy/cluster/embedded"
	"github.com/understudy-go/understudy/messages"
)

// File is everything that a node can be told, as it was written: zero is the
// default, -1 is off.
type File struct {
	Node  Node  `yaml:"node"`
	NATS  NATS  `yaml:"nats"`
	Admin Admin `yaml:"admin"`
	// Defaults are what each service inherits, key by key. In Services that is
	// done already; they are kept for services that come later. Nil: none given.
	Defaults *actors.ServiceConfig `yaml:"defaults"`
	// Services by name. Zero: none; they can be added at run time.
	Services map[string]actors.ServiceConfig `yaml:"services"`
	// Prefix is the first token of every subject. Zero: understudy.
	Prefix string `yaml:"prefix"`

	// Warnings are what is allowed and probably not meant.
	Warnings []Mistake `yaml:"-"`

	hidden map[string]bool   // keys whose values came from variables
	sum    [sha256.Size]byte // of the files' content
}

// Node says who this node is and where it stands.
type Node struct {
	// Name is unique in the cluster: one to 64 letters, digits, "_" and "-".
	// Zero: <host>-<6 random>, which serve keeps in its store.
	Name string `yaml:"name"`
	// Zone and Region are compared with those of endpoints. Zero: unknown.
	Zone   string `yaml:"zone"`
	Region string `yaml:"region"`
	// Location is latitude and longitude in degrees. Zero: unknown.
	Location []float64 `yaml:"location"`
}

// Place is where the node stands, as strategies compare it.
func (n Node) Place() (balance.Place, error) {
	return balance.PlaceOf(n.Zone, n.Region, n.Location)
}

// NATS says which server to use: one embedded in this process, or another. With
// neither, serve embeds one.
type NATS struct {
	cluster.Config `yaml:",inline"`
	// Embedded runs a server in this process; {} on its defaults.
	Embedded *embedded.Config `yaml:"embedded"`
}

// External reports whether the file chooses a server outside of this process.
func (n NATS) External() bool { return n.Embedded == nil && n.Config != (cluster.Config{}) }

// WithDefaults returns n with the defaults of what was chosen.
func (n NATS) WithDefaults() NATS {
	if n.External() {
		n.Config = n.Config.WithDefaults()
	}
	if n.Embedded != nil {
		e := n.Embedded.WithDefaults()
		n.Embedded = &e
	}
	return n
}

// Admin is the administrative door: /livez and /readyz.
type Admin struct {
	// Listen is host:port, 127.0.0.1:7081 by custom. Zero or "off": none, so that
	// several nodes start on one machine without a word.
	Listen string `yaml:"listen"`
}

// WithDefaults returns f with every default filled in, and shares nothing that
// it changes with f.
func (f File) WithDefaults() File {
	f.NATS = f.NATS.WithDefaults()
	if f.Prefix == "" {
		f.Prefix = messages.DefaultPrefix
	}
	if f.Defaults != nil {
		d := f.Defaults.WithDefaults()
		f.Defaults = &d
	}
	services := make(map[string]actors.ServiceConfig, len(f.Services))
	for name, c := range f.Services {
		services[name] = c.WithDefaults()
	}
	f.Services = services
	return f
}
