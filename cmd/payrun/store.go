package main

import (
	"fmt"

	"payrun/internal/database"
	"payrun/migrations"
)

// migrateCmd brings the database up to date.
type migrateCmd struct{}

// Run migrates.
func (c *migrateCmd) Run(a *app) error {
	if err := a.loadConfig(); err != nil {
		return err
	}
	db, err := database.Open(a.ctx, database.Config{URL: a.config.DatabaseURL})
	if err != nil {
		return fmt.Errorf("%s: %w", database.Redacted(a.config.DatabaseURL), err)
	}
	a.onClose(db.Close)
	applied, err := migrations.Up(a.ctx, db)
	if err != nil {
		return err
	}
	return a.show(map[string]any{"applied": applied}, func() {
		if len(applied) == 0 {
			a.sayf("The database is up to date.")
			return
		}
		a.sayf("Applied versions %v.", applied)
	})
}

// versionCmd prints the version.
type versionCmd struct{}

// Run prints it.
func (c *versionCmd) Run(a *app) error {
	return a.show(map[string]string{"version": version}, func() { a.sayf("payrun %s", version) })
}
