package architecture

import (
	"go/ast"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// The program's own words, read from the source of cmd/payrun: a main package
// cannot be imported.

type exitCode struct{ number, meaning string }

// exitCodes reads the rows of exitMeanings.
func exitCodes(t *testing.T) []exitCode {
	t.Helper()
	values := map[string]string{}
	var codes []exitCode
	eachNode(t, "cmd/payrun", func(node ast.Node) {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || len(spec.Names) != 1 || len(spec.Values) != 1 {
			return
		}
		switch value := spec.Values[0].(type) {
		case *ast.BasicLit:
			values[spec.Names[0].Name] = value.Value
		case *ast.CompositeLit:
			if spec.Names[0].Name == "exitMeanings" {
				codes = rowsOf(value)
			}
		}
	})
	for i := range codes {
		codes[i].number = values[codes[i].number]
	}
	if len(codes) == 0 {
		t.Fatal("cmd/payrun has no exitMeanings")
	}
	return codes
}

func rowsOf(list *ast.CompositeLit) []exitCode {
	var codes []exitCode
	for _, element := range list.Elts {
		row, ok := element.(*ast.CompositeLit)
		if !ok || len(row.Elts) != 2 {
			continue
		}
		name, isName := row.Elts[0].(*ast.Ident)
		words, isText := row.Elts[1].(*ast.BasicLit)
		if isName && isText {
			meaning, _ := strconv.Unquote(words.Value)
			codes = append(codes, exitCode{name.Name, meaning})
		}
	}
	return codes
}

type command struct{ usage, help string }

// commands reads the command line's tree of structs: a field with the tag cmd
// is a command, unless its type has commands of its own.
func commands(t *testing.T) []command {
	t.Helper()
	structs := map[string]*ast.StructType{}
	eachNode(t, "cmd/payrun", func(node ast.Node) {
		if spec, ok := node.(*ast.TypeSpec); ok {
			if fields, ok := spec.Type.(*ast.StructType); ok {
				structs[spec.Name.Name] = fields
			}
		}
	})
	all := commandsOf(structs, "cli", "")
	if len(all) == 0 {
		t.Fatal("cmd/payrun has no commands")
	}
	return all
}

func commandsOf(structs map[string]*ast.StructType, name, prefix string) []command {
	var all []command
	for _, f := range fieldsOf(structs, name) {
		_, isCommand := f.tag.Lookup("cmd")
		if _, hidden := f.tag.Lookup("hidden"); !isCommand || hidden {
			continue
		}
		usage := prefix + f.flag()
		below := commandsOf(structs, f.kind, usage+" ")
		if len(below) == 0 {
			below = []command{{usage + arguments(structs, f.kind), f.tag.Get("help")}}
		}
		all = append(all, below...)
	}
	return all
}

// arguments writes what a command must be given.
func arguments(structs map[string]*ast.StructType, name string) string {
	var words string
	for _, f := range fieldsOf(structs, name) {
		_, positional := f.tag.Lookup("arg")
		_, required := f.tag.Lookup("required")
		switch {
		case positional && f.many:
			words += " " + strings.ToUpper(strings.TrimSuffix(f.name, "s")) + "…"
		case positional:
			words += " " + strings.ToUpper(f.name)
		case required:
			words += " --" + f.flag() + " …"
		}
	}
	return words
}

type field struct {
	name, kind string
	many       bool // a list
	tag        reflect.StructTag
}

// flag spells a name as the command line does: AllowRepeat is allow-repeat.
func (f field) flag() string {
	if name := f.tag.Get("name"); name != "" {
		return name
	}
	var b strings.Builder
	for i, r := range f.name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte('-')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

// fieldsOf lists a struct's fields, with those of embedded structs in place.
func fieldsOf(structs map[string]*ast.StructType, name string) []field {
	definition := structs[name]
	if definition == nil {
		return nil
	}
	var all []field
	for _, f := range definition.Fields.List {
		kind, many := f.Type, false
		if list, ok := kind.(*ast.ArrayType); ok {
			kind, many = list.Elt, true
		}
		typeName, _ := kind.(*ast.Ident)
		switch {
		case typeName == nil:
		case len(f.Names) == 0:
			all = append(all, fieldsOf(structs, typeName.Name)...)
		default:
			all = append(all, field{f.Names[0].Name, typeName.Name, many, tagOf(f)})
		}
	}
	return all
}

func tagOf(f *ast.Field) reflect.StructTag {
	if f.Tag == nil {
		return ""
	}
	text, _ := strconv.Unquote(f.Tag.Value)
	return reflect.StructTag(text)
}

// eachNode visits the syntax of one folder, tests left out.
func eachNode(t *testing.T, folder string, visit func(ast.Node)) {
	t.Helper()
	for _, s := range sources(t) {
		if s.folder != folder || s.isTest() {
			continue
		}
		ast.Inspect(s.syntax, func(node ast.Node) bool {
			visit(node)
			return true
		})
	}
}
