package ledger

import (
	"context"
	"fmt"
	"strings"
)

// WalletHistory is how often payouts to a wallet were approved, and how many
// of them are paid.
type WalletHistory struct{ Approved, Paid int64 }

// WalletHistory looks a wallet up on the record of who was paid. Upper and
// lower case are one, as in a stop of it.
func (b *Book) WalletHistory(ctx context.Context, channel, account string) (WalletHistory, error) {
	var h WalletHistory
	err := b.db.Get(ctx, &h, `SELECT count(*) AS approved, coalesce(sum(CASE WHEN p.state = 'SUCCEEDED' THEN 1 ELSE 0 END), 0) AS paid
		FROM payees o JOIN payouts p ON p.id = o.payout_id WHERE o.channel = ? AND o.account IN (?, ?, ?)`,
		channel, account, strings.ToLower(account), strings.ToUpper(account))
	if err != nil {
		return h, fmt.Errorf("read what was paid to a wallet: %w", err)
	}
	return h, nil
}
