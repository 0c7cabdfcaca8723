package migrations

import (
	"context"

	"payrun/internal/database"
)

// UpTo applies the versions up to one, as an older binary would have.
func UpTo(ctx context.Context, db *database.DB, version int64) error {
	provider, err := open(ctx, db)
	if err != nil {
		return err
	}
	_, err = provider.UpTo(ctx, version)
	return err
}
