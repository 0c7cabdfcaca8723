package architecture

import (
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// heldBy finds the tests that docs/guarantees.md names, as `package.TestName`.
var heldBy = regexp.MustCompile("`([a-z/]+)\\.((?:Test|Fuzz|Example)[A-Za-z0-9_]*)`")

// A promise is worth as much as the test that holds it: every test that
// docs/guarantees.md names exists, and every promise names one.
func TestEveryPromiseNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	exists := map[string]bool{}
	for _, s := range sources(t) {
		for _, declaration := range s.syntax.Decls {
			if f, ok := declaration.(*ast.FuncDecl); ok && s.isTest() && f.Recv == nil {
				exists[path.Base(s.folder)+"."+f.Name.Name] = true
			}
		}
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "guarantees.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := heldBy.FindAllStringSubmatch(string(text), -1)
	if len(named) == 0 {
		t.Fatal("docs/guarantees.md names no test")
	}
	for _, test := range named {
		if name := path.Base(test[1]) + "." + test[2]; !exists[name] {
			t.Errorf("docs/guarantees.md names %s, which does not exist", name)
		}
	}
	for _, promise := range strings.Split(string(text), "\n**")[1:] {
		if !heldBy.MatchString(promise) {
			t.Errorf("docs/guarantees.md names no test for: %s", strings.TrimSpace(strings.SplitN(promise, "\n", 2)[0]))
		}
	}
}
