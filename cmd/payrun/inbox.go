package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"payrun/internal/config"
	"payrun/jobs"
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
	for _, p := range profiles {
		folder := filepath.Join(root.Folder, p.Name)
		if p.Owner == "" {
			continue
		}
		if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		report, err := a.inbox(folder, p.Owner, jobs.ImportChoice{Profile: p.Profile, ProfileName: p.Name, Settings: p.Text()}).Run(ctx)
		if err != nil {
			err = fmt.Errorf("inbox %s: %w", p.Name, err)
		}
		failed = errors.Join(failed, err)
		reports = append(reports, p.Name+": "+report)
	}
	return strings.Join(reports, "; "), failed
}

func (a *app) inbox(folder, owner string, choice jobs.ImportChoice) *jobs.Inbox {
	return &jobs.Inbox{Import: a.importJob(), Book: a.book, Folder: folder, Owner: owner, Choice: choice}
}
