package sheets_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"payrun/importers"
	"payrun/internal/sheets"
)

var update = flag.Bool("update", false, "rewrite testdata/twin.json")

// The document is what programs rely on, so it is held word by word.
func TestTheTwin(t *testing.T) {
	t.Parallel()
	path := november(t)
	j, _ := judge(t, path, byNovember())
	j.Problems, j.Found, j.Batch, j.Reason = j.Problems[2:3], 4, 7, "why not"
	target := filepath.Join(t.TempDir(), "twin.json")
	must(t, sheets.WriteTwin(target, j))
	written, err := os.ReadFile(target)
	must(t, err)
	got := strings.ReplaceAll(string(written), j.Sheet.Digest, "DIGEST")
	got = regexp.MustCompile(`"bytes": \d+`).ReplaceAllString(got, `"bytes": 1`)
	if *update {
		must(t, os.WriteFile(filepath.Join("testdata", "twin.json"), []byte(got), 0o600))
	}
	want, err := os.ReadFile(filepath.Join("testdata", "twin.json"))
	must(t, err)
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("the twin differs from testdata/twin.json (-want +got):\n%s", diff)
	}
	if strings.Contains(got, "U10000003") {
		t.Error("the twin shows a whole account")
	}
}

func TestTheTwinOfARefusedFile(t *testing.T) {
	t.Parallel()
	j, _ := judge(t, samples+"old-format.xls", importers.Rules{})
	twin := j.Twin()
	if twin.Refused == nil || twin.Refused.Code != importers.FormatOldExcel || twin.Digest == "" || twin.Reason == "" {
		t.Errorf("%+v", twin)
	}
	text, err := json.Marshal(twin)
	must(t, err)
	if strings.Contains(string(text), "null") {
		t.Errorf("a list is null: %s", text)
	}
}

// docs/sheets.md names every field of the document.
func TestTheTwinIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/sheets.md")
	must(t, err)
	var check func(kind reflect.Type)
	check = func(kind reflect.Type) {
		switch kind.Kind() {
		case reflect.Pointer, reflect.Slice:
			check(kind.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		for i := range kind.NumField() {
			name, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
			if !strings.Contains(string(text), "`"+name+"`") {
				t.Errorf("docs/sheets.md does not name the field %s of %s", name, kind.Name())
			}
			check(kind.Field(i).Type)
		}
	}
	check(reflect.TypeFor[sheets.Twin]())
}
