package config_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"payrun/importers"
	"payrun/internal/config"
)

const team = `# how Riga writes its sheets
owner: mia
sheet: Payouts
columns:
  account: Konto
  pay_date: Wann
letters:
  amount: D
ignore: [Comment, Seen by]
channel: Payeer
currency: USD
decimal_mark: ","
group_mark: " "
date_order: day-month-year
delimiter: tab
charset: windows-1251
`

func TestProfileFiles(t *testing.T) {
	t.Parallel()
	p, err := config.ParseProfile("riga", []byte(team))
	if err != nil {
		t.Fatal(err)
	}
	want := config.Profile{Name: "riga", Owner: "mia", Profile: importers.Profile{
		Sheet: "Payouts", Columns: map[string]importers.Field{"Konto": importers.FieldAccount, "Wann": importers.FieldPayDate,
			"Comment": importers.FieldIgnored, "Seen by": importers.FieldIgnored},
		Letters: map[string]importers.Field{"D": importers.FieldAmount}, Channel: "Payeer", Currency: "USD", DecimalMark: ",", GroupMark: " ",
		DateOrder: importers.DayMonthYear, Delimiter: "\t", Charset: "windows-1251",
	}}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	again, err := config.ParseProfile("riga", []byte(p.Text()))
	if diff := cmp.Diff(p, again); err != nil || diff != "" {
		t.Errorf("written and read again: %v\n%s", err, diff)
	}
	if text := (config.Profile{}).Text(); text != "" {
		t.Errorf("a profile that says nothing is written %q", text)
	}
}

// TestPresetsAreProfilesToChange: what profile show prints of a preset can be
// saved under a name of one's own.
func TestPresetsAreProfilesToChange(t *testing.T) {
	t.Parallel()
	for _, preset := range importers.Presets() {
		p, err := config.FindProfile(t.TempDir(), preset.Name)
		if err != nil || !p.Unconfirmed || p.From == "" {
			t.Fatalf("%s: %+v, %v", preset.Name, p, err)
		}
		own, err := config.ParseProfile("own", []byte(p.Text()+"channel: Payeer\n"))
		if err != nil || own.Unconfirmed || !own.NoHeadings || own.Channel != "Payeer" || len(own.Letters) == 0 {
			t.Errorf("%s: %+v, %v", preset.Name, own, err)
		}
	}
}

func TestProfilesThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ profile, text, want string }{
		"unknown setting":          {"riga", "colour: red", "colour"},
		"unknown field":            {"riga", "columns: {wallet: Konto}", "no field is called"},
		"a column twice":           {"riga", "columns: {account: X, amount: X}", "both the account and the amount"},
		"a column and a letter":    {"riga", "columns: {account: X}\nletters: {account: B}", "both to be the account"},
		"no column":                {"riga", "columns: {account: ''}", "needs a column"},
		"headings":                 {"riga", "headings: no", "write none"},
		"no headings, no letters":  {"riga", "headings: none", "letter for each column"},
		"decimal mark":             {"riga", "decimal_mark: x", "decimal mark"},
		"a key misspelt":           {"riga", "\ncollumns: {account: X}", `line 2: a profile has no key "collumns"; is columns meant?`},
		"a key of nothing":         {"riga", "zzz: 1", `line 1: a profile has no key "zzz"`},
		"not YAML":                 {"riga", "columns: [", "line 1"},
		"a name with a slash":      {"../riga", "", "cannot be its name"},
		"a name in capitals":       {"Riga", "", "cannot be its name"},
		"the name of a preset":     {"paypal", "", "cannot be its name"},
		"the name of a folder":     {"processed", "", "cannot be its name"},
		"more than anybody writes": {"riga", "# " + strings.Repeat("x", 20_000), "bytes"},
	} {
		if _, err := config.ParseProfile(c.profile, []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestProfilesAreSavedAndRemoved(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "profiles")
	names := func() (all []string) {
		profiles, err := config.Profiles(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range profiles {
			if p.From == "" {
				all = append(all, p.Name)
			}
		}
		return all
	}
	if got := names(); got != nil {
		t.Errorf("no folder has %q", got)
	}
	if err := config.SaveProfile(folder, "riga", []byte("colour: red"), false); err == nil {
		t.Error("a wrong profile was saved")
	}
	for _, name := range []string{"riga", "oslo"} {
		if err := config.SaveProfile(folder, name, []byte(team), false); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(); !slices.Equal(got, []string{"oslo", "riga"}) {
		t.Errorf("listed %q", got)
	}
	if err := config.SaveProfile(folder, "riga", []byte("channel: '16'"), false); !errors.Is(err, fs.ErrExist) {
		t.Errorf("replaced without being told to: %v", err)
	}
	if err := config.SaveProfile(folder, "riga", []byte("channel: '16'"), true); err != nil {
		t.Error(err)
	}
	if p, err := config.FindProfile(folder, "riga"); err != nil || p.Channel != "16" {
		t.Errorf("replaced: %+v, %v", p, err)
	}
	if err := config.RemoveProfile(folder, "riga"); err != nil {
		t.Error(err)
	}
	for name, wanted := range map[string]error{"riga": config.ErrNoProfile, "../x": config.ErrNoProfile, "paypal": nil} {
		if err := config.RemoveProfile(folder, name); err == nil || wanted != nil && !errors.Is(err, wanted) {
			t.Errorf("removed %s: %v", name, err)
		}
	}
	left, err := os.ReadDir(folder)
	if err != nil || len(left) != 1 || left[0].Name() != "oslo.yaml" {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
	// A file that somebody spoiled by hand can be removed all the same.
	if err := os.WriteFile(filepath.Join(folder, "spoiled.yaml"), []byte("colour: red"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Profiles(folder); err == nil || !strings.Contains(err.Error(), "spoiled") {
		t.Errorf("a spoiled file is listed: %v", err)
	}
	if err := config.RemoveProfile(folder, "spoiled"); err != nil {
		t.Error(err)
	}
}

func TestRepeatsNeedNotBeConfirmed(t *testing.T) {
	t.Parallel()
	c, err := load(t, "warnings: {repeats_within: 0, references_within: 0, first_payment: none}")
	if err != nil || c.Warnings.RepeatsWithin != 0 || c.Warnings.ReferencesWithin != 0 || c.Warnings.FirstPayment != "none" {
		t.Errorf("%+v, %v", c.Warnings, err)
	}
	for _, wrong := range []string{"repeats_within: soon", "references_within: 5", "first_payment: some", "large_amount: 10.5", "large_amount: -1"} {
		if _, err := load(t, "warnings: {"+wrong+"}"); err == nil || !strings.Contains(err.Error(), "warnings.") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}
