package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"payrun/internal/money"
	"payrun/ledger"
)

type batchWarningsCmd struct {
	batchID
	Kind  string `help:"Only warnings of this kind." placeholder:"KIND"`
	Limit int    `default:"100" help:"How many to list at most."`
}

// Run lists what people have to confirm about a batch.
func (c *batchWarningsCmd) Run(a *app) error {
	if err := a.openStore(); err != nil {
		return err
	}
	batch, err := a.book.Batch(a.ctx, c.ID)
	if err != nil {
		return err
	}
	kinds, err := a.book.WarningKinds(a.ctx, c.ID)
	if err != nil {
		return err
	}
	warnings, err := a.book.Warnings(a.ctx, c.ID, c.Kind, max(c.Limit, 1))
	if err != nil {
		return err
	}
	document := map[string]any{"batch": c.ID, "kinds": views(kinds, viewWarningKind), "warnings": views(warnings, viewWarning)}
	return a.show(document, func() {
		if len(kinds) == 0 {
			a.sayf("Batch %d has no warnings.", c.ID)
			return
		}
		if a.printWarningKinds(batch, kinds) {
			a.sayf("  %s", confirmHow(c.ID))
		}
		for _, w := range warnings {
			a.sayf("  %s%s\n%s", warningHead(w), confirmedWords(w), wrapped(warningWords(w), "    "))
		}
		c.printMore(a, kinds, int64(len(warnings)))
	})
}

// printMore says how to see those that the limit left out.
func (c *batchWarningsCmd) printMore(a *app, kinds []ledger.WarningKind, shown int64) {
	total := int64(0)
	for _, k := range kinds {
		if c.Kind == "" || c.Kind == k.Code {
			total += k.Warnings
		}
	}
	kind := ", or --kind KIND"
	if c.Kind != "" {
		kind = " --kind " + c.Kind
	}
	if total > shown {
		a.sayf("%s not shown: payrun batch warnings %d --limit %d%s", counted(total-shown, "more is", "more are"), c.ID, total, kind)
	}
}

// warningHead names what a warning is about, to find it in the sheet.
func warningHead(w ledger.Warning) string {
	p := w.Payout
	switch {
	case w.Row == 0:
		return "the sheet as a whole  " + w.Code
	case p.Amount == 0:
		return fmt.Sprintf("row %d  %s", w.Row, w.Code)
	}
	payee := ""
	if p.Payee != "" {
		payee = fmt.Sprintf(", %q", p.Payee)
	}
	return fmt.Sprintf("row %d  %s to %s%s  %s", w.Row, amount(p.Amount, p.Currency), p.MaskedAccount(), payee, w.Code)
}

// printToConfirm says what was found, who has to confirm it, and how.
func (a *app) printToConfirm(b ledger.Batch, kinds []ledger.WarningKind) {
	if a.printWarningKinds(b, kinds) {
		a.sayf("  See them: payrun batch warnings %d. %s", b.ID, confirmHow(b.ID))
	}
}

func confirmHow(batch int64) string {
	return fmt.Sprintf("Confirm: payrun batch confirm %d --kind KIND, --row ROW or --all (all but repeats)", batch)
}

// printWarningKinds lists the kinds and tells whether any still waits.
func (a *app) printWarningKinds(b ledger.Batch, kinds []ledger.WarningKind) (open bool) {
	if len(kinds) == 0 {
		return false
	}
	a.sayf("\nTo be confirmed, by name:")
	t := newTable(a.out, "warnings ", "kind", "what it is", "confirmed")
	for _, k := range kinds {
		t.row(count(k.Warnings), k.Code, warningMeaning(k.Code), kindConfirmed(b, k))
		open = open || waits(b, k)
	}
	t.flush()
	return open
}

// waits tells whether a kind waits for whoever decides next.
func waits(b ledger.Batch, k ledger.WarningKind) bool { return waiting(b, k) > 0 }

// waiting is how many of a kind do: those that a checker looks at later do not
// wait for the maker.
func waiting(b ledger.Batch, k ledger.WarningKind) int64 {
	switch b.State {
	case ledger.Valid:
		return k.Open
	case ledger.Submitted:
		return k.Unchecked
	}
	return 0
}

func kindConfirmed(b ledger.Batch, k ledger.WarningKind) string {
	switch {
	case k.Open > 0:
		return fmt.Sprintf("%s not yet, by the maker", count(k.Open))
	case k.Unchecked > 0 && b.State == ledger.Submitted:
		return fmt.Sprintf("%s not yet, by the checker", count(k.Unchecked))
	case k.Unchecked > 0:
		return "by the maker; the checker confirms too"
	}
	return "yes"
}

// warningMeanings say in a few words what each kind of warning is.
var warningMeanings = map[string]string{
	"account-length":          "an unusual number of digits in a wallet",
	"amount-display":          "the sheet shows another amount than it stores",
	"payee-repeated":          "the same payee and amount twice in the sheet",
	"control-total-unchecked": "a total of the sheet could not be checked",
	"date-far":                "a pay date long past, or more than a year away",
	"rows-below-total":        "payouts stand below the last total of the sheet",
	"rows-above-headings":     "payouts stand above the headings",
	"title-not-read":          "a title says what no payout has",
	"heading-in-part":         "a heading that is known only in part",
	"column-unnamed":          "a column without a heading",
	"row-struck":              "a payout is struck through",
	ledger.PayeePaid:          "the same payee and amount was approved lately",
	ledger.PayeeWaiting:       "the same payee and amount waits in another batch",
	ledger.ReferenceUsed:      "the reference was paid under already",
	ledger.ReferenceWaiting:   "the reference waits in another batch",
	ledger.FileUsed:           "the same file was imported before, with other rows",
	ledger.TotalsRepeated:     "another batch has as many payouts, and the same totals",
	ledger.FirstPayment:       "the first payment to a wallet",
	ledger.FirstPaymentLarge:  "the first payment to a wallet, and a large one",
}

func warningMeaning(code string) string { return cmp.Or(warningMeanings[code], code) }

// warningWords says what one warning is about.
func warningWords(w ledger.Warning) string {
	r := w.Repeats
	switch {
	case w.Message != "":
		return w.Message
	case w.Code == ledger.FileUsed:
		return fmt.Sprintf("Batch %d (%s, %s) came from this very file, with other rows. Look at both: payrun batch show %d. Confirm that both are meant.", r.Batch, r.Name, r.State, r.Batch)
	case w.Code == ledger.TotalsRepeated:
		return fmt.Sprintf("Batch %d (%s, %s) has as many payouts and the same totals. Look at both: payrun batch show %d. Confirm that both are meant.", r.Batch, r.Name, r.State, r.Batch)
	case w.Code == ledger.ReferenceUsed, w.Code == ledger.ReferenceWaiting:
		return fmt.Sprintf("Row %d of batch %d (%s) has the reference %q too, and pays %s to %s; it is %s. Confirm that both are meant.",
			r.Row, r.Batch, r.Name, w.Payout.Reference, amount(r.Amount, r.Currency), ledger.Mask(r.Account), standing(r.State))
	case r.Batch > 0:
		return fmt.Sprintf("Row %d of batch %d pays the same amount to the same account; it is %s. Confirm that both are meant.", r.Row, r.Batch, standing(r.State))
	case w.Code == ledger.FirstPayment, w.Code == ledger.FirstPaymentLarge:
		return "Nothing to this wallet was approved before. Check it with the payee, then confirm."
	}
	return warningMeaning(w.Code) + "."
}

// standing is a payout's state in words, the same for all before it is sent.
func standing(s ledger.State) string {
	if s == ledger.Valid || s == ledger.Submitted || s == ledger.Approved {
		return "not sent yet"
	}
	return string(s)
}

func confirmedWords(w ledger.Warning) string {
	var words []string
	if w.Maker != "" {
		words = append(words, "confirmed by "+w.Maker)
	}
	if w.Checker != "" {
		words = append(words, "checked by "+w.Checker)
	}
	if len(words) == 0 {
		return ""
	}
	return " (" + strings.Join(words, ", ") + ")"
}

type batchConfirmCmd struct {
	batchID
	Kind string  `help:"Confirm all warnings of this kind, or with --row the one in that row." placeholder:"KIND"`
	Row  []int64 `help:"Confirm what is in this row of the sheet; may be given several times." placeholder:"ROW"`
	All  bool    `help:"Confirm everything that waits for you but repeats: those by --kind or --row."`
}

// Run confirms warnings as the person whose token was given.
func (c *batchConfirmCmd) Run(a *app) error {
	noRow := func(row int64) bool { return row < 1 }
	if !c.All && c.Kind == "" && len(c.Row) == 0 || c.All && (c.Kind != "" || len(c.Row) > 0) || slices.ContainsFunc(c.Row, noRow) {
		return usagef("say what you confirm: --kind KIND, --row ROW, both, or --all (payrun batch warnings %d lists them)", c.ID)
	}
	user, err := a.user()
	if err != nil {
		return err
	}
	confirmed, err := a.book.ConfirmWarnings(a.ctx, user, c.ID, c.Kind, c.Row...)
	if err != nil {
		return err
	}
	b, left, err := a.repeatsLeft(c.ID)
	if err != nil {
		return err
	}
	document := map[string]any{"batch": c.ID, "confirmed": warningsIn(confirmed), "by": user.Name, "kinds": views(confirmed, viewConfirmed)}
	return a.show(document, func() {
		a.sayf("Batch %d: %s confirmed by %s.", c.ID, counted(warningsIn(confirmed), "warning", "warnings"), user.Name)
		a.printConfirmed(confirmed)
		for _, k := range left {
			a.sayf("Not confirmed: %s of %s may be the same payments again.\nLook at them: payrun batch warnings %d --kind %s, then: payrun batch confirm %d --kind %s",
				count(waiting(b, k)), k.Code, c.ID, k.Code, c.ID, k.Code)
		}
	})
}

// repeatsLeft are the kinds that --all does not confirm and that still wait.
func (a *app) repeatsLeft(batch int64) (ledger.Batch, []ledger.WarningKind, error) {
	b, err := a.book.Batch(a.ctx, batch)
	if err != nil {
		return b, nil, err
	}
	kinds, err := a.book.WarningKinds(a.ctx, batch)
	return b, slices.DeleteFunc(kinds, func(k ledger.WarningKind) bool { return !k.Repeats() || !waits(b, k) }), err
}

func (a *app) printConfirmed(confirmed []ledger.ConfirmedKind) {
	for _, k := range confirmed {
		sum := ""
		if k.Currency != "" {
			sum = ", " + amount(k.Amount, k.Currency)
		}
		a.sayf("  %s of %s%s: %s", count(k.Warnings), k.Code, sum, warningMeaning(k.Code))
	}
}

func warningsIn(confirmed []ledger.ConfirmedKind) (n int64) {
	for _, k := range confirmed {
		n += k.Warnings
	}
	return n
}

// confirmAll confirms what waits for a person, of one kind or of all but the
// repeats, if anything does.
func (a *app) confirmAll(by ledger.User, batch int64, kind string) error {
	confirmed, err := a.book.ConfirmWarnings(a.ctx, by, batch, kind, 0)
	if err != nil {
		kinds, listErr := a.book.WarningKinds(a.ctx, batch)
		if errors.Is(err, ledger.ErrConflict) && listErr == nil && settled(kinds, kind) {
			return nil
		}
		return err
	}
	a.sayf("%s confirmed by %s.", counted(warningsIn(confirmed), "warning", "warnings"), by.Name)
	a.printConfirmed(confirmed)
	return nil
}

// settled tells whether no kind, or not the one named, waits for anybody.
func settled(kinds []ledger.WarningKind, kind string) bool {
	for _, k := range kinds {
		if (kind == "" || kind == k.Code) && (k.Open > 0 || k.Unchecked > 0) {
			return false
		}
	}
	return true
}

type warningKindView struct {
	Kind      string `json:"kind"`
	Meaning   string `json:"meaning"`
	Warnings  int64  `json:"warnings"`
	Open      int64  `json:"unconfirmed"` // by a maker
	Unchecked int64  `json:"unchecked"`   // by the checker
}

func viewWarningKind(k ledger.WarningKind) warningKindView {
	return warningKindView{k.Code, warningMeaning(k.Code), k.Warnings, k.Open, k.Unchecked}
}

type confirmedView struct {
	Kind     string         `json:"kind"`
	Warnings int64          `json:"warnings"`
	Amount   string         `json:"amount,omitempty"`
	Currency money.Currency `json:"currency,omitempty"`
}

func viewConfirmed(k ledger.ConfirmedKind) confirmedView {
	v := confirmedView{Kind: k.Code, Warnings: k.Warnings, Currency: k.Currency}
	if k.Currency != "" {
		v.Amount = decimal(k.Amount, k.Currency)
	}
	return v
}

type warningView struct {
	Kind         string `json:"kind"`
	Row          int64  `json:"row"`
	Amount       string `json:"amount,omitempty"` // that the row pays
	Currency     string `json:"currency,omitempty"`
	Account      string `json:"account,omitempty"` // its last digits
	Message      string `json:"message"`
	RepeatsBatch int64  `json:"repeats_batch,omitempty"`
	RepeatsRow   int64  `json:"repeats_row,omitempty"`
	Maker        string `json:"confirmed_by,omitempty"`
	Checker      string `json:"checked_by,omitempty"`
}

func viewWarning(w ledger.Warning) warningView {
	v := warningView{Kind: w.Code, Row: w.Row, Message: warningWords(w), RepeatsBatch: w.Repeats.Batch, RepeatsRow: w.Repeats.Row, Maker: w.Maker, Checker: w.Checker}
	if p := w.Payout; p.Amount > 0 {
		v.Amount, v.Currency, v.Account = decimal(p.Amount, p.Currency), string(p.Currency), p.MaskedAccount()
	}
	return v
}
