package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

func (l *loader) file(path string) {
	if path == "" {
		return
	}
	text, err := os.ReadFile(path)
	if err != nil {
		l.wrong("the configuration file cannot be read: %v", err)
		return
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, more yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return // an empty file sets nothing
	case err != nil:
		l.wrong("%s is not valid YAML: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
		return
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		l.wrong("%s holds more than one YAML document; keep one", path)
		return
	}
	f := file{loader: l, path: path, seen: map[string]bool{}}
	f.group("", document.Content[0])
}

// file walks one YAML document.
type file struct {
	*loader
	path string
	seen map[string]bool
}

func (f *file) at(node *yaml.Node) string { return fmt.Sprintf("%s:%d", f.path, node.Line) }

// group reads the members of a level; what is empty sets nothing.
func (f *file) group(name string, node *yaml.Node) {
	switch {
	case node.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			f.member(strings.TrimPrefix(name+"."+node.Content[i].Value, "."), node.Content[i], node.Content[i+1])
		}
	case node.Tag == "!!null":
	case name == "":
		f.wrong("%s: settings are names with values, such as data: payrun-data", f.at(node))
	default:
		f.wrong("%s: %s is a group of settings, not a value", f.at(node), name)
	}
}

func (f *file) member(name string, place, node *yaml.Node) {
	key, known := find(name)
	switch {
	case isGroup(name):
		f.group(name, node)
	case !known:
		f.wrong("%s: there is no setting %q%s", f.at(place), name, suggestion(name, Key.name))
	case f.seen[name]:
		f.wrong("%s: %s is set twice", f.at(place), name)
	case key.Secret:
		f.wrong("%s: %s is a secret and does not belong in a configuration file; set %s, or %s_file to the path of a file that only you can read",
			f.at(place), name, key.Env(), name)
	default:
		f.value(key, node)
	}
	f.seen[name] = true
}

func (f *file) value(key Key, node *yaml.Node) {
	switch {
	case node.Tag == "!!null":
	case node.Kind == yaml.ScalarNode:
		f.set(key.Name, node.Value, f.at(node))
	case node.Kind == yaml.SequenceNode && key.List:
		f.list(key, node)
	case node.Kind == yaml.AliasNode:
		f.wrong("%s: %s is a YAML alias; write the value itself", f.at(node), key.Name)
	default:
		f.wrong("%s: %s must be a single value", f.at(node), key.Name)
	}
}

func (f *file) list(key Key, node *yaml.Node) {
	items := make([]string, len(node.Content))
	for i, item := range node.Content {
		if item.Kind != yaml.ScalarNode {
			f.wrong("%s: %s must be a list of single values", f.at(item), key.Name)
			return
		}
		items[i] = item.Value
	}
	f.set(key.Name, strings.Join(items, ","), f.at(node))
}
