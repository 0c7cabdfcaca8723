package jobs

import (
	"context"
	"errors"
	"path/filepath"

	"payrun/importers"
	"payrun/internal/sheets"
)

// Judgement is what there is to say to the maker about a sheet, given what
// [Import.File] or [Import.Check] returned for it.
func (done Imported) Judgement(path string, err error) sheets.Judgement {
	j := sheets.Judgement{File: filepath.Base(path), Sheet: done.Sheet, Problems: done.Problems, Found: done.Found, Options: done.options}
	if done.Batch != nil {
		j.Batch = done.Batch.ID
	}
	if refusal, ok := errors.AsType[*importers.FileError](err); ok {
		j.Refused, j.Reason = &refusal.Problem, refusal.Error()
	} else if err != nil {
		j.Reason = err.Error()
	}
	return j
}

// Annotate writes the maker's sheet back with its problems marked, as a new
// file; see [sheets.Annotate] for why there may be none.
func (done Imported) Annotate(ctx context.Context, source, target string, j sheets.Judgement) error {
	if done.annotate == nil {
		return sheets.Annotate(ctx, source, target, done.rules, j)
	}
	return done.annotate(ctx, source, target, done.rules, j)
}
