package main

import (
	"payrun/internal/database"
	"payrun/internal/money"
	"payrun/jobs"
	"payrun/ledger"
)

// The views are what --json prints. Programs rely on their names, so they do
// not change with the types of other packages. Amounts are decimal texts,
// instants RFC 3339 in UTC, empty for never.

func decimal(a money.Amount, c money.Currency) string { return money.Format(a, c) }

func instant(at database.Instant) string {
	if at == 0 {
		return ""
	}
	return at.String()
}

// views converts a list; an empty one is [] and never null.
func views[T, V any](items []T, view func(T) V) []V {
	all := make([]V, len(items))
	for i, item := range items {
		all[i] = view(item)
	}
	return all
}

type batchView struct {
	Batch        int64  `json:"batch"`
	Name         string `json:"name"`
	State        string `json:"state"`
	Outcome      string `json:"outcome,omitempty"` // finished or cancelled, once all payouts of an approved batch have ended
	Paused       string `json:"paused,omitempty"`
	Accepted     int64  `json:"accepted"`
	Ended        int64  `json:"ended"`
	Rejected     int64  `json:"rejected"`
	Blank        int64  `json:"blank"`
	Maker        string `json:"maker"`
	MadeAt       string `json:"made_at"`
	Submitter    string `json:"submitter,omitempty"`
	SubmittedAt  string `json:"submitted_at,omitempty"`
	Approver     string `json:"approver,omitempty"`
	ApprovedAt   string `json:"approved_at,omitempty"`
	Repeats      int64  `json:"repeats_batch,omitempty"`
	RepeatNumber int64  `json:"repeat_number,omitempty"`
	FileDigest   string `json:"file_sha256"`
	Content      string `json:"content_sha256,omitempty"`
}

func viewBatch(b ledger.Batch, ended ledger.Ended) batchView {
	if b.State == ledger.Valid { // whoever handed it in did so before it came back
		b.Submitter, b.SubmittedAt = "", 0
	}
	return batchView{
		Batch: b.ID, Name: b.Name, State: string(b.State), Outcome: batchOutcome(b, ended), Paused: b.StopReason,
		Accepted: b.Accepted, Ended: ended.Payouts, Rejected: b.Rejected, Blank: b.Blank,
		Maker: b.Maker, MadeAt: instant(b.MadeAt), Submitter: b.Submitter, SubmittedAt: instant(b.SubmittedAt),
		Approver: b.Approver, ApprovedAt: instant(b.ApprovedAt), Repeats: b.Repeats, RepeatNumber: b.RepeatNumber,
		FileDigest: b.SourceDigest, Content: b.ContentDigest,
	}
}

type totalView struct {
	Channel  string         `json:"channel"`
	Currency money.Currency `json:"currency"`
	Payouts  int64          `json:"payouts"`
	Amount   string         `json:"amount"`
	Fees     string         `json:"estimated_fees"`
}

func viewTotal(t ledger.Total) totalView {
	return totalView{t.Channel, t.Currency, t.Payouts, decimal(t.Amount, t.Currency), decimal(t.Fees, t.Currency)}
}

type progressView struct {
	State    ledger.State   `json:"state"`
	Currency money.Currency `json:"currency"`
	Payouts  int64          `json:"payouts"`
	Amount   string         `json:"amount"`
	Fees     string         `json:"fees"`
}

func viewProgress(p ledger.Progress) progressView {
	return progressView{p.State, p.Currency, p.Payouts, decimal(p.Amount, p.Currency), decimal(p.Fees, p.Currency)}
}

type rowProblemView struct {
	Code     string `json:"code"`
	Severity string `json:"severity"`
	Sheet    string `json:"sheet,omitempty"`
	Row      int64  `json:"row,omitempty"`
	Column   string `json:"column,omitempty"`
	Heading  string `json:"heading,omitempty"`
	Value    string `json:"value,omitempty"`
	Message  string `json:"message"`
}

func viewProblem(p ledger.Problem) rowProblemView {
	return rowProblemView{p.Code, p.Severity, p.Sheet, p.Row, p.Column, p.Heading, p.Value, p.Message}
}

type exceptionView struct {
	Case     int64  `json:"case"`
	Kind     string `json:"kind"`
	Batch    int64  `json:"batch,omitempty"`
	Order    string `json:"order,omitempty"`
	Subject  string `json:"subject,omitempty"`
	Detail   string `json:"detail"`
	NextStep string `json:"next_step"`
	OpenedAt string `json:"opened_at"`
}

func viewException(e ledger.Exception) exceptionView {
	return exceptionView{e.ID, e.Kind, e.BatchID, e.OrderNo, e.Subject, e.Detail, e.NextStep, instant(e.OpenedAt)}
}

type payoutView struct {
	Order        string          `json:"order"`
	State        ledger.State    `json:"state"`
	Batch        int64           `json:"batch"`
	Sheet        string          `json:"sheet,omitempty"`
	Row          int64           `json:"row"`
	Reference    string          `json:"reference,omitempty"`
	Payee        string          `json:"payee,omitempty"`
	Beside       string          `json:"beside,omitempty"` // in columns that are not interpreted
	Channel      string          `json:"channel"`
	Account      string          `json:"account"` // masked
	Amount       string          `json:"amount"`
	Currency     money.Currency  `json:"currency"`
	PayDate      string          `json:"pay_date,omitempty"` // not sent before
	Fee          string          `json:"fee"`
	FeeKnown     bool            `json:"fee_known"`
	GatewayOrder string          `json:"gateway_order,omitempty"`
	Status       string          `json:"gateway_status,omitempty"`
	Rate         string          `json:"rate,omitempty"`
	Received     string          `json:"received,omitempty"`
	Attempts     int64           `json:"attempts"`
	Blocked      string          `json:"blocked,omitempty"`
	Repays       string          `json:"repays,omitempty"`
	PaidAgain    string          `json:"paid_again_as,omitempty"`
	SentAt       string          `json:"sent_at,omitempty"`
	EndedAt      string          `json:"ended_at,omitempty"`
	Stops        []stopView      `json:"stops"` // that keep it from being sent
	Cases        []exceptionView `json:"cases"`
	Steps        []stepView      `json:"steps"`
}

type listedView struct {
	Order    string         `json:"order"`
	State    ledger.State   `json:"state"`
	Batch    int64          `json:"batch"`
	Channel  string         `json:"channel"`
	Account  string         `json:"account"` // masked
	Amount   string         `json:"amount"`
	Currency money.Currency `json:"currency"`
	Status   string         `json:"gateway_status,omitempty"`
	Blocked  string         `json:"blocked,omitempty"`
	Repays   string         `json:"repays,omitempty"`
	Again    string         `json:"paid_again_as,omitempty"`
	SentAt   string         `json:"sent_at,omitempty"`
	EndedAt  string         `json:"ended_at,omitempty"`
	Next     string         `json:"next_step,omitempty"`
}

func viewListed(p listedPayout) listedView {
	return listedView{
		p.OrderNo(), p.State, p.BatchID, p.Channel, p.MaskedAccount(), decimal(p.Amount, p.Currency), p.Currency, p.Status, p.Blocked, p.Repays,
		p.again, instant(p.SentAt), instant(p.EndedAt), p.next,
	}
}

type stepView struct {
	At     string `json:"at"`
	What   string `json:"what"`
	Who    string `json:"who"`
	Detail string `json:"detail,omitempty"`
}

func viewPayout(p ledger.Payout, steps []ledger.Step) payoutView {
	return payoutView{
		Order: p.OrderNo(), State: p.State, Batch: p.BatchID, Sheet: p.Sheet, Row: p.Row, Reference: p.Reference, Payee: p.Payee, Beside: p.Beside,
		Channel: p.Channel, Account: p.MaskedAccount(), Amount: decimal(p.Amount, p.Currency), Currency: p.Currency,
		PayDate: p.PayDate, Fee: decimal(fee(p), p.Currency), FeeKnown: p.FeeKnown != 0, GatewayOrder: p.GatewayOrder, Status: p.Status,
		Rate: p.Rate, Received: received(p), Attempts: p.Attempts, Blocked: p.Blocked, Repays: p.Repays,
		SentAt: instant(p.SentAt), EndedAt: instant(p.EndedAt),
		Steps: views(steps, func(s ledger.Step) stepView { return stepView{instant(s.At), s.What, s.Actor, s.Detail} }),
	}
}

// fee is what the gateway took, or as long as nobody knows, the estimate.
func fee(p ledger.Payout) money.Amount {
	if p.FeeKnown != 0 {
		return p.Fee
	}
	return p.FeeEstimate
}

type balancesView struct {
	Currency  money.Currency `json:"currency"`
	PaidIn    string         `json:"paid_in"`
	Available string         `json:"available"`
	Held      string         `json:"held"`
	PaidOut   string         `json:"paid_out"`
	Fees      string         `json:"fees"`
	Suspense  string         `json:"suspense"`
}

func viewBalances(b ledger.Balances) balancesView {
	f := func(m money.Amount) string { return decimal(m, b.Currency) }
	return balancesView{b.Currency, f(-b.Funding), f(b.Available), f(b.Held), f(b.Paid), f(b.Fees), f(b.Suspense)}
}

type reportedView struct {
	Currency money.Currency `json:"currency"`
	Reported string         `json:"reported"`
	At       string         `json:"at"`
}

func viewReported(g ledger.GatewayBalance) reportedView {
	return reportedView{g.Currency, decimal(g.Reported, g.Currency), instant(g.FetchedAt)}
}

type limitView struct {
	Channel  string         `json:"channel"`
	Currency money.Currency `json:"currency"`
	Minimum  string         `json:"minimum"`
	Maximum  string         `json:"maximum"`
	Source   string         `json:"source"`
}

func viewLimit(l ledger.Limit) limitView {
	return limitView{l.Channel, l.Currency, decimal(l.Minimum, l.Currency), decimal(l.Maximum, l.Currency), l.Source}
}

type preflightView struct {
	Batch    batchView         `json:"batch"`
	Totals   []totalView       `json:"totals"`
	Limits   []limitView       `json:"limits"`
	Funds    []needView        `json:"funds"`
	Warnings []warningKindView `json:"warnings"`
	Overlaps []overlapView     `json:"overlaps"`
	Seconds  int64             `json:"sending_takes_seconds"`
}

type needView struct {
	Currency  money.Currency `json:"currency"`
	Needed    string         `json:"needed"`
	Available string         `json:"available"`
	AtGateway string         `json:"at_gateway"`
	Enough    bool           `json:"enough"`
}

func viewPreflight(p jobs.Preflight) preflightView {
	return preflightView{
		Batch: viewBatch(p.Batch, ledger.Ended{}), Totals: views(p.Totals, viewTotal), Limits: views(p.Limits, viewLimit),
		Warnings: views(p.Warnings, viewWarningKind), Overlaps: views(p.Overlaps, viewOverlap), Seconds: int64(p.Duration.Seconds()),
		Funds: views(p.Funds, func(f jobs.Funds) needView {
			return needView{f.Currency, decimal(f.Needed, f.Currency), decimal(f.Available, f.Currency), decimal(f.AtGateway, f.Currency), f.Enough()}
		}),
	}
}
