package main

import (
	"errors"
	"fmt"
	"strings"

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
		a.printWarningKinds(batch, kinds)
		for _, w := range warnings {
			a.sayf("  row %d  %s%s\n%s", w.Row, w.Code, confirmedWords(w), wrapped(warningWords(w), "    "))
		}
	})
}

// printWarningKinds says what was found and who has to confirm it how.
func (a *app) printWarningKinds(b ledger.Batch, kinds []ledger.WarningKind) {
	if len(kinds) == 0 {
		return
	}
	open := false
	a.sayf("\nTo be confirmed, by name:")
	t := newTable(a.out, "warnings ", "kind", "what it is", "confirmed")
	for _, k := range kinds {
		t.row(count(k.Warnings), k.Code, warningMeaning(k.Code), kindConfirmed(b, k))
		open = open || b.State == ledger.Valid && k.Open > 0 || b.State == ledger.Submitted && k.Unchecked > 0
	}
	t.flush()
	if open {
		a.sayf("  See them: payrun batch warnings %d. Confirm: payrun batch confirm %d --kind KIND, --row ROW or --all", b.ID, b.ID)
	}
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
	ledger.PayeePaid:          "the same payee and amount was approved lately",
	ledger.PayeeWaiting:       "the same payee and amount waits in another batch",
	ledger.FirstPayment:       "the first payment to a wallet",
	ledger.FirstPaymentLarge:  "the first payment to a wallet, and a large one",
}

func warningMeaning(code string) string {
	if meaning := warningMeanings[code]; meaning != "" {
		return meaning
	}
	return code
}

// warningWords says what one warning is about.
func warningWords(w ledger.Warning) string {
	switch {
	case w.Message != "":
		return w.Message
	case w.Repeats > 0:
		return fmt.Sprintf("Row %d of batch %d pays the same amount to the same account; it is %s. Confirm that both are meant.", w.RepeatsRow, w.Repeats, standing(w.RepeatsState))
	case w.Code == ledger.FirstPayment, w.Code == ledger.FirstPaymentLarge:
		return "Nothing to this wallet was approved before. Check it with the payee, then confirm."
	}
	return warningMeaning(w.Code) + "."
}

// standing is a payout's state in words; UNSENT says nothing to people.
func standing(s ledger.State) string {
	if s == "UNSENT" {
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
	Kind string `help:"Confirm all warnings of this kind, or with --row the one in that row." placeholder:"KIND"`
	Row  int64  `help:"Confirm what is in this row of the sheet." placeholder:"ROW"`
	All  bool   `help:"Confirm everything that waits for you."`
}

// Run confirms warnings as the person whose token was given.
func (c *batchConfirmCmd) Run(a *app) error {
	if !c.All && c.Kind == "" && c.Row == 0 || c.All && (c.Kind != "" || c.Row != 0) || c.Row < 0 {
		return usagef("say what you confirm: --kind KIND, --row ROW, both, or --all (payrun batch warnings %d lists them)", c.ID)
	}
	user, err := a.user()
	if err != nil {
		return err
	}
	n, err := a.book.ConfirmWarnings(a.ctx, user, c.ID, c.Kind, c.Row)
	if err != nil {
		return err
	}
	return a.show(map[string]any{"batch": c.ID, "confirmed": n, "by": user.Name}, func() {
		a.sayf("Batch %d: %s confirmed by %s.", c.ID, counted(n, "warning", "warnings"), user.Name)
	})
}

// confirmAll confirms what waits for a person, if anything does.
func (a *app) confirmAll(by ledger.User, batch int64) error {
	n, err := a.book.ConfirmWarnings(a.ctx, by, batch, "", 0)
	if err != nil {
		if kinds, listErr := a.book.WarningKinds(a.ctx, batch); errors.Is(err, ledger.ErrConflict) && listErr == nil && settled(kinds) {
			return nil
		}
		return err
	}
	a.sayf("%s confirmed by %s.", counted(n, "warning", "warnings"), by.Name)
	return nil
}

// settled tells whether no kind waits for anybody.
func settled(kinds []ledger.WarningKind) bool {
	for _, k := range kinds {
		if k.Open > 0 || k.Unchecked > 0 {
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

type warningView struct {
	Kind         string `json:"kind"`
	Row          int64  `json:"row"`
	Message      string `json:"message"`
	RepeatsBatch int64  `json:"repeats_batch,omitempty"`
	RepeatsRow   int64  `json:"repeats_row,omitempty"`
	Maker        string `json:"confirmed_by,omitempty"`
	Checker      string `json:"checked_by,omitempty"`
}

func viewWarning(w ledger.Warning) warningView {
	return warningView{w.Code, w.Row, warningWords(w), w.Repeats, w.RepeatsRow, w.Maker, w.Checker}
}
