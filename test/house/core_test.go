package house

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
)

// noCoreImports are the parts of the standard library that do I/O, keep a clock or
// a lock, or write somewhere. pureParts lie beneath them and only compute.
var (
	noCoreImports = []string{"C", "crypto/rand", "database", "embed", "expvar", "io/fs", "io/ioutil", "log", "math/rand", "net", "os", "path/filepath", "plugin", "sync", "syscall", "testing", "unsafe"}
	pureParts     = []string{"math/rand/v2", "net/netip", "net/url", "sync/atomic"}
)

// pureLibraries are the libraries of others that only compute.
var pureLibraries = []string{
	"github.com/cespare/xxhash/v2",            // hashing of keys
	"github.com/HdrHistogram/hdrhistogram-go", // quantiles
}

// noCoreNames are what a core must not take from packages it may import.
var noCoreNames = map[name]string{}

func init() {
	for _, n := range []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Timer", "Ticker"} {
		noCoreNames[name{"time", n}] = "time comes in as an argument"
	}
	for _, n := range []string{"WithTimeout", "WithTimeoutCause", "WithDeadline", "WithDeadlineCause", "AfterFunc"} {
		noCoreNames[name{"context", n}] = "a core waits for nothing"
	}
	for _, n := range []string{"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"} {
		noCoreNames[name{"fmt", n}] = "a core does no I/O"
	}
}

// randValues are the names of math/rand/v2 that are no draw from the global source.
var randValues = []string{"Rand", "New", "Source", "PCG", "NewPCG", "ChaCha8", "NewChaCha8", "Zipf", "NewZipf"}

// coresArePure looks at a core's own files; its tests may do as they like.
func coresArePure(files []*file) (out []finding) {
	for _, f := range files {
		if layerOf(f.dir) != core || f.test() {
			continue
		}
		for _, s := range f.tree.Imports {
			p := importPath(s)
			switch {
			case s.Name != nil && s.Name.Name == ".":
				out = append(out, f.find(s.Pos(), fmt.Sprintf("core %s imports %s with a dot: its names cannot be checked", f.dir, p)))
			case within(p, pureParts...), within(p, pureLibraries...), within(p, module):
			case within(p, noCoreImports...), !standard(p):
				out = append(out, f.find(s.Pos(), fmt.Sprintf("core %s imports %s: a core has no I/O, no lock and no global; a library that only computes goes into pureLibraries", f.dir, p)))
			}
		}
		f.names(func(n name, pos token.Pos) {
			if why := noCoreNames[n]; why != "" {
				out = append(out, f.find(pos, fmt.Sprintf("core %s uses %s.%s: %s", f.dir, n.path, n.name, why)))
			}
			if n.path == "math/rand/v2" && !slices.Contains(randValues, n.name) {
				out = append(out, f.find(pos, fmt.Sprintf("core %s draws rand.%s from the global source: randomness comes in as an argument", f.dir, n.name)))
			}
		})
		ast.Inspect(f.tree, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				out = append(out, f.find(g.Pos(), fmt.Sprintf("core %s starts a goroutine: that is a shell's work", f.dir)))
			}
			return true
		})
	}
	return out
}
