// Package architecture holds tests over the project as a whole: which package
// may import which, what stands at the top level, and that README.md and
// docs/guarantees.md say what the code says.
//
// Start reading at imports_test.go; its table is the plan of the house. After
// a change of settings, commands or exit codes, write README.md's tables anew:
//
//	go test ./internal/architecture -update
package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "payrun"

// root is the project's folder, seen from this package's.
var root = filepath.Join("..", "..")

// source is one Go file. All files are read, also those that the machine at
// hand would not compile.
type source struct {
	folder string // from the root, with slashes
	name   string
	syntax *ast.File
}

func (s source) path() string { return path.Join(s.folder, s.name) }

func (s source) isTest() bool { return strings.HasSuffix(s.name, "_test.go") }

func (s source) imports() []string {
	names := make([]string, len(s.syntax.Imports))
	for i, spec := range s.syntax.Imports {
		names[i], _ = strconv.Unquote(spec.Path.Value)
	}
	return names
}

// sources reads every Go file of the module.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	files := token.NewFileSet()
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != root && isNotOurs(name, entry) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		syntax, err := parser.ParseFile(files, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(name))
		all = append(all, source{filepath.ToSlash(folder), entry.Name(), syntax})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 100 {
		t.Fatalf("only %d Go files found under %s", len(all), root)
	}
	return all
}

// isNotOurs reports whether a folder is no part of this module.
func isNotOurs(name string, entry fs.DirEntry) bool {
	if strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" {
		return true
	}
	_, err := os.Stat(filepath.Join(name, "go.mod"))
	return err == nil
}

// within reports whether a package path is prefix or below it.
func within(name, prefix string) bool {
	return name == prefix || strings.HasPrefix(name, prefix+"/")
}

// ours returns an import's folder in this module, or "" for others.
func ours(name string) string {
	if !within(name, module) || name == module {
		return ""
	}
	return strings.TrimPrefix(name, module+"/")
}

// isStandard reports whether an import is of Go's standard library: the first
// element of every other path is a domain or this module.
func isStandard(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return !strings.Contains(first, ".") && first != module
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
