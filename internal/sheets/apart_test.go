package sheets_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"payrun/importers"
	"payrun/internal/sheets"
)

// apartWay names, in its environment, how the process apart behaves.
const apartWay = "PAYRUN_MARKS_APART"

// TestMain lets the test binary be the process that makes a copy apart.
func TestMain(m *testing.M) {
	switch os.Getenv(apartWay) {
	case "":
		os.Exit(m.Run())
	case "panic":
		panic("a bug of the library")
	case "hungry":
		fmt.Fprintln(os.Stderr, "fatal error: runtime: out of memory")
		os.Exit(2)
	}
	if err := sheets.ServeApart(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func apart(way string) sheets.Apart {
	return sheets.Apart{Command: func(ctx context.Context) *exec.Cmd {
		command := exec.CommandContext(ctx, os.Args[0])
		command.Env = []string{apartWay + "=" + way}
		return command
	}}
}

// A copy made apart is the copy made here, of a workbook and of text.
func TestApartMarksTheSame(t *testing.T) {
	t.Parallel()
	for path, rules := range map[string]importers.Rules{november(t): byNovember(), samples + "trouble.xlsx": {}, samples + "payouts-excel-europe.csv": {}} {
		j, _ := judge(t, path, rules)
		target := filepath.Join(t.TempDir(), "apart.xlsx")
		must(t, apart("well").Annotate(t.Context(), path, target, rules, j))
		want, err := os.ReadFile(annotate(t, path, rules, j))
		must(t, err)
		got, err := os.ReadFile(target)
		must(t, err)
		if !bytes.Equal(got, want) {
			t.Errorf("%s: another copy, %d bytes instead of %d", path, len(got), len(want))
		}
	}
}

// Why there is no copy is heard as if it had been tried here, and nothing is
// left behind.
func TestApartMarksNothing(t *testing.T) {
	t.Parallel()
	path := november(t)
	good, _ := judge(t, path, byNovember())
	changed, refused := good, good
	changed.Sheet.Digest = strings.Repeat("0", 64)
	refused.Refused = &importers.Problem{Code: importers.ZipDamaged}
	tests := []struct {
		name, way, source string
		judged            sheets.Judgement
		want              error
	}{
		{"changed", "well", path, changed, sheets.ErrChanged},
		{"refused", "well", path, refused, sheets.ErrUnsuitable},
		{"out of memory", "hungry", path, good, sheets.ErrTooLarge},
		{"died", "panic", path, good, sheets.ErrUnsuitable},
		{"gone", "well", path + ".gone", good, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			folder, rules := t.TempDir(), byNovember()
			rules.TempDir = t.TempDir()
			err := apart(tt.way).Annotate(t.Context(), tt.source, filepath.Join(folder, "copy.xlsx"), rules, tt.judged)
			if err == nil || sheets.NoCopy(err) != (tt.want != nil) || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			for _, place := range []string{folder, rules.TempDir} {
				if left, err := os.ReadDir(place); err != nil || len(left) > 0 {
					t.Errorf("left behind: %v, %v", left, err)
				}
			}
		})
	}
	taken := filepath.Join(t.TempDir(), "mine.xlsx")
	must(t, os.WriteFile(taken, nil, 0o600))
	if err := apart("panic").Annotate(t.Context(), path, taken, byNovember(), good); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a name that is taken: %v", err)
	}
}
