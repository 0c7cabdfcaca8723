package jobs

import "context"

// Notification stores what the gateway posted to us and makes its look-up due
// at once; it moves no money. Only after it returned nil may the gateway be
// told that its message arrived.
func (e *Engine) Notification(ctx context.Context, contentType string, body []byte) error {
	n, err := e.Gateway.ParseNotification(contentType, body)
	if err != nil {
		return &RefusedNotification{err}
	}
	return e.Book.Notify(ctx, n.OrderNo, n.Evidence)
}

// RefusedNotification is a message that is not the gateway's, or damaged.
type RefusedNotification struct{ reason error }

// Error names the reason, never the content.
func (e *RefusedNotification) Error() string { return "notification refused: " + e.reason.Error() }

// Unwrap returns the gateway package's error.
func (e *RefusedNotification) Unwrap() error { return e.reason }
