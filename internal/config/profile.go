package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"payrun/importers"
	"payrun/internal/money"
)

// Profile is an import profile with a name: one file NAME.yaml in the folder
// of profiles, made to be read and reviewed by people.
type Profile struct {
	importers.Profile
	Name  string
	Owner string // the maker who answers for the profile's inbox, "" for no inbox
	From  string // what a preset stands for; "" for a file
}

// ErrNoProfile: no profile has the name.
var ErrNoProfile = errors.New("there is no such import profile")

// profileFile is how a profile is written.
type profileFile struct {
	Owner       string            `yaml:"owner,omitempty"`
	Sheet       string            `yaml:"sheet,omitempty"`
	Headings    string            `yaml:"headings,omitempty"`
	Columns     map[string]string `yaml:"columns,omitempty"` // field: heading
	Letters     map[string]string `yaml:"letters,omitempty"` // field: column letter
	Ignore      []string          `yaml:"ignore,omitempty"`  // headings
	Channel     string            `yaml:"channel,omitempty"`
	Currency    string            `yaml:"currency,omitempty"`
	DecimalMark string            `yaml:"decimal_mark,omitempty"`
	GroupMark   string            `yaml:"group_mark,omitempty"`
	MinorUnits  bool              `yaml:"minor_units,omitempty"`
	DateOrder   string            `yaml:"date_order,omitempty"`
	Delimiter   string            `yaml:"delimiter,omitempty"`
	Charset     string            `yaml:"charset,omitempty"`
}

const (
	profileEnding  = ".yaml"
	longestProfile = 16 << 10 // bytes
	noHeadings     = "none"
	tabInWords     = "tab"
)

var profileName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)

// AllowedName tells whether a profile may be called so: its name is also that of
// a folder of the inbox.
func AllowedName(name string) bool {
	return profileName.MatchString(name) && !isPreset(name) && name != "processed" && name != "refused"
}

// ParseProfile reads the text of a profile and names what is wrong with it.
func ParseProfile(name string, text []byte) (Profile, error) {
	wrong := func(err error) (Profile, error) { return Profile{}, fmt.Errorf("import profile %s: %w", name, err) }
	if !AllowedName(name) {
		return wrong(errors.New("this cannot be its name; use up to 40 small letters, digits and hyphens, and no preset's name"))
	}
	if len(text) > longestProfile {
		return wrong(fmt.Errorf("it has more than %d bytes", longestProfile))
	}
	var f profileFile
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return wrong(errors.New(strings.Join(misread(err), "; ")))
	}
	profile, err := f.profile()
	if err == nil {
		err = profile.Validate()
	}
	if err != nil {
		return wrong(err)
	}
	return Profile{Profile: profile, Name: name, Owner: f.Owner}, nil
}

var unknownKey = regexp.MustCompile(`^line (\d+): field (\S+) not found in type .*`)

// misread says in a person's words why the text of a profile was not read.
func misread(err error) []string {
	var wrong *yaml.TypeError
	if !errors.As(err, &wrong) {
		return []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	}
	lines := slices.Clone(wrong.Errors)
	for i, line := range lines {
		if found := unknownKey.FindStringSubmatch(line); found != nil {
			lines[i] = fmt.Sprintf("line %s: a profile has no key %q%s", found[1], found[2], meant(found[2]))
		}
	}
	return lines
}

// meant names the key of a profile that was probably meant.
func meant(written string) string {
	best, least := "", len(written)/3+1
	keys := reflect.TypeFor[profileFile]()
	for i := range keys.NumField() {
		key, _, _ := strings.Cut(keys.Field(i).Tag.Get("yaml"), ",")
		if d := distance(written, key); d < least {
			best, least = key, d
		}
	}
	if best == "" {
		return ""
	}
	return "; is " + best + " meant?"
}

func (f profileFile) profile() (importers.Profile, error) {
	p := importers.Profile{
		Sheet: f.Sheet, Channel: f.Channel, Currency: money.Currency(f.Currency), DecimalMark: f.DecimalMark, GroupMark: f.GroupMark,
		MinorUnits: f.MinorUnits, DateOrder: f.DateOrder, Delimiter: f.Delimiter, Charset: f.Charset, NoHeadings: f.Headings == noHeadings,
	}
	if f.Headings != "" && !p.NoHeadings {
		return p, fmt.Errorf("headings is %q; leave it out, or write none for sheets without a row of headings", f.Headings)
	}
	if p.Delimiter == tabInWords {
		p.Delimiter = "\t"
	}
	for field, heading := range f.Columns {
		if err := MapColumn(&p, field, heading, false); err != nil {
			return p, err
		}
	}
	for field, letter := range f.Letters {
		if err := MapColumn(&p, field, letter, true); err != nil {
			return p, err
		}
	}
	for _, heading := range f.Ignore {
		if err := MapColumn(&p, importers.FieldIgnored.String(), heading, false); err != nil {
			return p, err
		}
	}
	return p, nil
}

// MapColumn says in a profile which column a field stands in, by its heading
// or by its letter. Field names may be written with hyphens or underscores.
func MapColumn(p *importers.Profile, field, column string, byLetter bool) error {
	var meant importers.Field
	if err := meant.UnmarshalText([]byte(strings.NewReplacer("-", " ", "_", " ").Replace(field))); err != nil {
		return err
	}
	columns := &p.Columns
	if byLetter {
		columns = &p.Letters
	}
	if column == "" {
		return fmt.Errorf("the %s needs a column", meant)
	}
	if *columns == nil {
		*columns = map[string]importers.Field{}
	}
	if other, taken := (*columns)[column]; taken && other != meant {
		return fmt.Errorf("column %q is to be both the %s and the %s", column, min(other, meant), max(other, meant))
	}
	(*columns)[column] = meant
	return nil
}

// Reassign has what somebody says about columns win over a profile: a field that
// they find elsewhere leaves its column.
func Reassign(p *importers.Profile, said importers.Profile) {
	found := map[importers.Field]bool{}
	for _, columns := range []map[string]importers.Field{said.Columns, said.Letters} {
		for _, field := range columns {
			found[field] = field != importers.FieldIgnored
		}
	}
	left := func(columns, said map[string]importers.Field) map[string]importers.Field {
		columns = maps.Clone(columns)
		maps.DeleteFunc(columns, func(_ string, field importers.Field) bool { return found[field] })
		for column, field := range said {
			if columns == nil {
				columns = map[string]importers.Field{}
			}
			columns[column] = field
		}
		return columns
	}
	p.Columns, p.Letters = left(p.Columns, said.Columns), left(p.Letters, said.Letters)
}

// Text writes a profile as its file has it, "" for one that says nothing.
func (p Profile) Text() string {
	f := profileFile{
		Owner: p.Owner, Sheet: p.Sheet, Channel: p.Channel, Currency: string(p.Currency), DecimalMark: p.DecimalMark, GroupMark: p.GroupMark,
		MinorUnits: p.MinorUnits, DateOrder: p.DateOrder, Delimiter: p.Delimiter, Charset: p.Charset,
	}
	if p.NoHeadings {
		f.Headings = noHeadings
	}
	if p.Delimiter == "\t" {
		f.Delimiter = tabInWords
	}
	for heading, field := range p.Columns {
		if field == importers.FieldIgnored {
			f.Ignore = append(f.Ignore, heading)
		} else {
			put(&f.Columns, field, heading)
		}
	}
	slices.Sort(f.Ignore)
	for letter, field := range p.Letters {
		if field != importers.FieldIgnored {
			put(&f.Letters, field, letter)
		}
	}
	text, err := yaml.Marshal(f)
	if err != nil || string(text) == "{}\n" { // texts and maps of texts can be written
		return ""
	}
	return string(text)
}

func put(columns *map[string]string, field importers.Field, column string) {
	if *columns == nil {
		*columns = map[string]string{}
	}
	(*columns)[strings.ReplaceAll(field.String(), " ", "_")] = column
}

// FindProfile finds a profile by its name: a file of the folder, or a preset.
// It returns an error that wraps ErrNoProfile if there is neither.
func FindProfile(folder, name string) (Profile, error) {
	for _, preset := range presets() {
		if preset.Name == name {
			return preset, nil
		}
	}
	if !profileName.MatchString(name) {
		return Profile{}, fmt.Errorf("%w as %q", ErrNoProfile, name)
	}
	text, err := os.ReadFile(filepath.Join(folder, name+profileEnding))
	if errors.Is(err, fs.ErrNotExist) {
		return Profile{}, fmt.Errorf("%w as %q; payrun profile list names them", ErrNoProfile, name)
	}
	if err != nil {
		return Profile{}, err
	}
	return ParseProfile(name, text)
}

// Profiles lists the profiles of a folder by name, then the presets. A folder
// that is not there has none.
func Profiles(folder string) ([]Profile, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*"+profileEnding))
	if err != nil {
		return nil, err
	}
	var all []Profile
	for _, path := range paths {
		profile, err := FindProfile(folder, strings.TrimSuffix(filepath.Base(path), profileEnding))
		if err != nil {
			return nil, err
		}
		all = append(all, profile)
	}
	return append(all, presets()...), nil
}

func presets() []Profile {
	var all []Profile
	for _, preset := range importers.Presets() {
		all = append(all, Profile{Profile: preset.Profile, Name: preset.Name, From: preset.Source})
	}
	return all
}

func isPreset(name string) bool {
	return slices.ContainsFunc(presets(), func(p Profile) bool { return p.Name == name })
}

// SaveProfile puts the text of a profile into the folder, complete or not at
// all. One of that name is only replaced if that is meant; otherwise the error
// wraps fs.ErrExist.
func SaveProfile(folder, name string, text []byte, replace bool) error {
	if _, err := ParseProfile(name, text); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	target := filepath.Join(folder, name+profileEnding)
	if _, err := os.Lstat(target); err == nil && !replace {
		return fmt.Errorf("import profile %s: %w; --replace replaces it", name, fs.ErrExist)
	}
	draft, err := os.CreateTemp(folder, ".draft-")
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name())
	_, err = draft.Write(text)
	if err := errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return err
	}
	return os.Rename(draft.Name(), target)
}

// RemoveProfile deletes a profile's file.
func RemoveProfile(folder, name string) error {
	if _, err := FindProfile(folder, name); errors.Is(err, ErrNoProfile) {
		return err
	}
	if isPreset(name) {
		return fmt.Errorf("%s is a preset, which every payrun has", name)
	}
	return os.Remove(filepath.Join(folder, name+profileEnding))
}
