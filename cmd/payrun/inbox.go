package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"payrun/internal/config"
	"payrun/jobs"
	"payrun/ledger"
)

// inboxes imports what lies in the inbox, and in each of its folders that is
// named like an import profile: those belong to the profile's owner. What is
// wrong with one folder does not keep the others waiting. Profiles are read
// anew each time, so that a change needs no restart.
func (a *app) inboxes(ctx context.Context) (string, error) {
	root := a.config.Inbox
	report, failed := a.inbox(root.Folder, root.Owner, jobs.ImportChoice{}).Run(ctx)
	reports := []string{report}
	profiles, err := config.Profiles(a.config.Profiles)
	failed = errors.Join(failed, err)
	if err == nil {
		unread, err := a.unreadFolders(ctx, profiles)
		failed = errors.Join(failed, err)
		reports = append(reports, unread...)
	}
	for _, p := range profiles {
		folder := filepath.Join(root.Folder, p.Name)
		if p.Owner == "" {
			continue
		}
		switch info, err := os.Lstat(folder); {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err == nil && !info.IsDir(): // whoever may write to the inbox could have other folders read
			failed = errors.Join(failed, fmt.Errorf("inbox %s: %s is a link or a file, and must be a folder", p.Name, folder))
			continue
		}
		report, err := a.inbox(folder, p.Owner, jobs.ImportChoice{Profile: p.Profile, ProfileName: p.Name, Settings: p.Text(), Options: "--profile " + p.Name}).Run(ctx)
		if err != nil {
			err = fmt.Errorf("inbox %s: %w", p.Name, err)
		}
		failed = errors.Join(failed, err)
		reports = append(reports, p.Name+": "+report)
	}
	return strings.Join(reports, "; "), failed
}

// unreadFolders keeps a case open for every folder with sheets in it that no
// import profile reads, and says so.
func (a *app) unreadFolders(ctx context.Context, profiles []config.Profile) (reports []string, err error) {
	entries, err := os.ReadDir(a.config.Inbox.Folder)
	if err != nil {
		return nil, nil // the inbox itself has said so
	}
	var cases []ledger.Exception
	for _, entry := range entries {
		name := entry.Name()
		if !entry.IsDir() || strings.HasPrefix(name, ".") || name == jobs.ProcessedFolder || name == jobs.RefusedFolder || reads(profiles, name) {
			continue
		}
		n, err := a.inbox(filepath.Join(a.config.Inbox.Folder, name), "", jobs.ImportChoice{}).Waiting()
		if err != nil {
			return reports, fmt.Errorf("inbox %s: %w", name, err)
		}
		if n == 0 {
			continue
		}
		sheets := counted(n, "sheet in it is not read", "sheets in it are not read")
		cases = append(cases, ledger.Exception{
			Subject: name, Detail: fmt.Sprintf("the inbox has a folder %q, but no import profile of that name with an owner: %s", name, sheets),
			NextStep: adoptFolder(profiles, name),
		})
		reports = append(reports, fmt.Sprintf("%s: no import profile of that name with an owner, %s", name, sheets))
	}
	return reports, a.book.KeepCases(ctx, "job:import", ledger.ExceptionInboxFolder, cases)
}

// adoptFolder says how a folder gets a profile that reads it. Not every folder
// has a name that a profile may have.
func adoptFolder(profiles []config.Profile, folder string) string {
	known := slices.ContainsFunc(profiles, func(p config.Profile) bool { return p.Name == folder })
	switch {
	case !config.AllowedName(folder):
		return "rename the folder: an import profile that could read it cannot be called so (payrun profile list)"
	case known:
		return fmt.Sprintf("rename the folder, or give the import profile an owner: payrun profile add %s FILE --replace", folder)
	}
	return fmt.Sprintf("rename the folder, or payrun profile add %s FILE", folder)
}

// reads tells whether one of the profiles reads the folder.
func reads(profiles []config.Profile, folder string) bool {
	return slices.ContainsFunc(profiles, func(p config.Profile) bool { return p.Name == folder && p.Owner != "" })
}

func (a *app) inbox(folder, owner string, choice jobs.ImportChoice) *jobs.Inbox {
	return &jobs.Inbox{Import: a.importJob(), Book: a.book, Folder: folder, Owner: owner, Choice: choice}
}
