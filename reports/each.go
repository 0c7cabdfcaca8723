package reports

import (
	"context"

	"payrun/internal/database"
)

// each reads rows ahead of use, which gets them one by one, in order, in the
// calling goroutine: while one processor reads from the database, another
// writes the file. No other query may run on the transaction meanwhile.
func each[T any](ctx context.Context, tx *database.Tx, query string, args []any, use func(*T) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	chunks, done := make(chan []*T, 8), make(chan error, 1)
	go func() {
		err := readChunks(ctx, tx, query, args, chunks)
		close(chunks)
		done <- err
	}()
	for chunk := range chunks {
		for _, row := range chunk {
			if err := use(row); err != nil {
				cancel()
				<-done // the transaction is ours again, whatever became of the query
				return err
			}
		}
	}
	return <-done
}

func readChunks[T any](ctx context.Context, tx *database.Tx, query string, args []any, chunks chan<- []*T) error {
	const size = 128
	chunk := make([]*T, 0, size)
	send := func() error {
		select {
		case chunks <- chunk:
			chunk = make([]*T, 0, size)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := database.Each(ctx, tx, query, args, func(row *T) error {
		if chunk = append(chunk, row); len(chunk) < size {
			return nil
		}
		return send()
	})
	if err != nil {
		return err
	}
	return send()
}
