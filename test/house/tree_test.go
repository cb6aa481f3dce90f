package house

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// module is the path that imports of our own packages begin with.
const module = "github.com/understudy-go/understudy"

// file is one source file and where it lies.
type file struct {
	dir    string // of its package, from the root, "." for the root itself
	name   string
	lines  int
	nested bool // in a module of its own
	fset   *token.FileSet
	tree   *ast.File
}

func (f *file) test() bool { return strings.HasSuffix(f.name, "_test.go") }
func (f *file) main() bool { return f.tree.Name.Name == "main" }

// finding is one breach of one rule.
type finding struct {
	file string
	line int
	what string
}

func (f finding) String() string { return f.file + ":" + strconv.Itoa(f.line) + ": " + f.what }

func (f *file) find(pos token.Pos, what string) finding {
	return f.findLine(f.fset.Position(pos).Line, what)
}

func (f *file) findLine(line int, what string) finding {
	return finding{path.Join(f.dir, f.name), line, what}
}

// load parses every source file beneath root, whatever its build constraints,
// in order of path. Suffix is what source files end with.
func load(t *testing.T, root, suffix string) []*file {
	t.Helper()
	var files []*file
	nested := ""
	err := filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := filepath.ToSlash(strings.TrimPrefix(strings.TrimPrefix(p, root), string(filepath.Separator)))
		if e.IsDir() {
			if rel == "" {
				return nil
			}
			if b := e.Name(); b == "testdata" || b[0] == '.' || b[0] == '_' {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(p, "go.mod")); err == nil {
				nested = rel + "/"
			}
			return nil
		}
		if !strings.HasSuffix(rel, suffix) {
			return nil
		}
		src, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		f := &file{
			dir:    path.Dir(rel),
			name:   strings.TrimSuffix(path.Base(rel), ".txt"),
			lines:  bytes.Count(src, []byte("\n")),
			nested: nested != "" && strings.HasPrefix(rel, nested),
			fset:   token.NewFileSet(),
		}
		if f.tree, err = parser.ParseFile(f.fset, p, src, parser.ParseComments); err != nil {
			t.Errorf("does not parse, so no rule was checked on it: %v", err)
			return nil
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no source files beneath %s", root)
	}
	return files
}

// importPath returns what an import names.
func importPath(s *ast.ImportSpec) string {
	p, err := strconv.Unquote(s.Path.Value)
	if err != nil {
		return s.Path.Value
	}
	return p
}

// within reports whether p is one of the paths or lies beneath one.
func within(p string, of ...string) bool {
	for _, o := range of {
		if p == o || strings.HasPrefix(p, o+"/") {
			return true
		}
	}
	return false
}

// name is a use of another package's name: time.Now is {"time", "Now"}.
type name struct{ path, name string }

// names calls found for each use of an imported package's name. A variable that
// hides the package is not one.
func (f *file) names(found func(n name, pos token.Pos)) {
	imported := map[string]string{}
	for _, s := range f.tree.Imports {
		p := importPath(s)
		local := path.Base(p)
		if v, err := strconv.Atoi(strings.TrimPrefix(local, "v")); err == nil && v > 1 {
			local = path.Base(path.Dir(p))
		}
		if s.Name != nil {
			local = s.Name.Name
		}
		imported[local] = p
	}
	ast.Inspect(f.tree, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := s.X.(*ast.Ident); ok && x.Obj == nil && imported[x.Name] != "" {
			found(name{imported[x.Name], s.Sel.Name}, s.Pos())
		}
		return true
	})
}
