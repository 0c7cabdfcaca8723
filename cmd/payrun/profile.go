package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"payrun/internal/config"
	"payrun/ledger"
)

// profileCmd groups what is done with import profiles.
type profileCmd struct {
	List   profileListCmd   `cmd:"" help:"List import profiles, and presets for sheets without headings."`
	Show   profileShowCmd   `cmd:"" help:"Print an import profile, to read it or to change a copy."`
	Add    profileAddCmd    `cmd:"" help:"Save an import profile from a file (maker or admin)."`
	Remove profileRemoveCmd `cmd:"" help:"Delete an import profile (maker or admin)."`
}

type profileListCmd struct{}

type profileView struct {
	Name     string `json:"name"`
	Preset   string `json:"preset,omitempty"` // what it stands for
	Owner    string `json:"owner,omitempty"`  // of its inbox
	Settings string `json:"settings"`
}

func viewProfile(p config.Profile) profileView {
	return profileView{p.Name, p.From, p.Owner, p.Text()}
}

// Run lists profiles.
func (c *profileListCmd) Run(a *app) error {
	if err := a.loadConfig(); err != nil {
		return err
	}
	profiles, err := config.Profiles(a.config.Profiles)
	if err != nil {
		return usageError{err}
	}
	return a.show(views(profiles, viewProfile), func() {
		t := newTable(a.out, "name", "inbox of", "what it is")
		for _, p := range profiles {
			kind := "in " + relative(a.config.Profiles)
			if p.From != "" {
				kind = "preset: " + p.From
			}
			t.row(p.Name, orNone(p.Owner), kind)
		}
		t.flush()
	})
}

type profileName struct {
	Name string `arg:"" help:"Name of the import profile."`
}

type profileShowCmd struct{ profileName }

// Run prints a profile as its file has it.
func (c *profileShowCmd) Run(a *app) error {
	if err := a.loadConfig(); err != nil {
		return err
	}
	p, err := config.FindProfile(a.config.Profiles, c.Name)
	if err != nil {
		return profileError(err)
	}
	return a.show(viewProfile(p), func() { fmt.Fprint(a.out, p.Text()) })
}

type profileAddCmd struct {
	profileName
	File    string `arg:"" help:"File that holds it, YAML; - reads the standard input."`
	Replace bool   `help:"Replace a profile of the same name."`
}

// Run saves a profile. How money is read is nobody's secret: the audit trail
// has the whole text.
func (c *profileAddCmd) Run(a *app) error {
	text, err := readProfile(c.File)
	if err != nil {
		return fmt.Errorf("%w: %w", errProfile, err)
	}
	profile, err := config.ParseProfile(c.Name, text)
	if err != nil {
		return usageError{err}
	}
	if err := a.mayOwnInbox(profile.Owner); err != nil {
		return err
	}
	return a.changeProfile("profile.add", c.Name, string(text), func() error {
		return config.SaveProfile(a.config.Profiles, c.Name, text, c.Replace)
	})
}

// mayOwnInbox says now what every run of the inbox would say later.
func (a *app) mayOwnInbox(name string) error {
	if name == "" {
		return nil
	}
	if err := a.openStore(); err != nil {
		return err
	}
	owner, err := a.book.User(a.ctx, name)
	if errors.Is(err, ledger.ErrNotFound) || err == nil && !owner.Is(ledger.Maker) {
		return usageError{fmt.Errorf("owner of the inbox: there is no active user %s with the role maker", name)}
	}
	return err
}

func readProfile(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(io.LimitReader(os.Stdin, 1<<20))
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("there is no file called %s", path)
	}
	return text, err
}

type profileRemoveCmd struct{ profileName }

// Run deletes a profile.
func (c *profileRemoveCmd) Run(a *app) error {
	return a.changeProfile("profile.remove", c.Name, "", func() error { return config.RemoveProfile(a.config.Profiles, c.Name) })
}

// changeProfile changes a profile's file for somebody who may, and notes it.
func (a *app) changeProfile(action, name, detail string, change func() error) error {
	user, err := a.user()
	if err != nil {
		return err
	}
	if !user.Is(ledger.Maker, ledger.Admin) {
		return fmt.Errorf("%w: %s needs the role maker or admin to change an import profile", ledger.ErrForbidden, user.Name)
	}
	if err := change(); err != nil {
		return profileError(err)
	}
	if err := a.book.Note(a.ctx, user.Actor(), action, "profile "+name, detail); err != nil {
		return err
	}
	return a.show(map[string]any{"profile": name, "action": action, "by": user.Name}, func() {
		if action == "profile.remove" {
			a.sayf("Import profile %s is removed. Batches that were read by it keep its text.", name)
			return
		}
		a.sayf("Import profile %s is saved. Try it: payrun import --dry-run --profile %s FILE", name, name)
	})
}

// profileError gives the errors of profiles their exit codes.
func profileError(err error) error {
	switch {
	case errors.Is(err, config.ErrNoProfile):
		return fmt.Errorf("%w: %w", ledger.ErrNotFound, err)
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: %w", ledger.ErrConflict, err)
	}
	return usageError{err}
}

var errProfile = errors.New("the import profile cannot be read")
