package importers

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"payrun/internal/money"
)

// judgeAccount checks the payee's wallet. The text is never trimmed or
// repaired: a wallet that is almost right belongs to somebody else.
func (r *reader) judgeAccount(row *record, channel *Channel, currency money.Currency) string {
	c := row.at(r.layout.at[FieldAccount])
	code, message := r.accountFault(c)
	if code != "" {
		r.fault(row, FieldAccount, code, "%s", message)
		return ""
	}
	if channel == nil || currency == "" {
		return c.text
	}
	form, message := channel.form(c.text, currency)
	if form == nil && !channel.pays(currency) {
		// The currency is the mistake, so the wallet is held against those that are paid.
		form, message = channel.paidForm(c.text, message)
	}
	if form == nil {
		r.fault(row, FieldAccount, AccountPrefix, "%s", message)
		return ""
	}
	if digits := len(c.text) - len(form.Prefix); digits < form.MinDigits || digits > form.MaxDigits {
		r.warn(row, FieldAccount, AccountLength, "%s wallets usually have %s after the %s; this one has %d. Check it with the payee, then confirm.",
			channel.Name, form.usualDigits(), form.Prefix, digits)
	}
	return c.text
}

// accountFault finds what is wrong with an account on any channel.
func (r *reader) accountFault(c cell) (Code, string) {
	switch c.kind {
	case kindText:
		return r.accountTextFault(c.text)
	case kindFormula:
		return CellFormula, "The account is a formula, whose stored result may be out of date. Replace it with its value (copy, then paste as values)."
	case kindFailure:
		return CellError, "The account is an error value. Correct the cell."
	case kindBoolean:
		return CellBoolean, "The account is TRUE or FALSE. Write the wallet number."
	}
	return AccountNumber, "The account is stored as a number: spreadsheets drop leading zeros and round after 15 digits. Format the column as text and enter the account again from its source."
}

func (r *reader) accountTextFault(account string) (Code, string) {
	if strings.TrimSpace(account) == "" {
		return AccountEmpty, "The account is missing. Enter the payee's wallet number."
	}
	if isRounded(account) {
		return AccountNumber, "The account is written as a rounded number, so its last digits are lost. Format the column as text and enter the account again from its source."
	}
	if strings.Trim(account, " ") != account {
		return AccountSpace, "The account has a space before or after it. Remove the space; Payrun does not change account numbers."
	}
	for _, check := range []func(string) (Code, string){textFault, reservedFault, foreignFault} {
		if code, clause := check(account); code != "" {
			return code, "The account " + clause + ". Enter it again from its source."
		}
	}
	switch {
	case utf8.RuneCountInString(account) > longestAccount:
		return TextTooLong, fmt.Sprintf("The account is longer than %d characters, which the gateway does not take.", longestAccount)
	case isExample(account):
		return AccountExample, "This is an example account from the template, which nobody owns. Write the payee's own wallet, or delete the row."
	case r.rules.own[account]:
		return AccountOwn, "This is one of our own accounts. Payouts to ourselves are not allowed."
	case r.rules.blocked[strings.ToLower(account)]:
		return AccountBlocked, "Payments to this wallet are stopped. Remove the row, or ask a checker (payrun stop list, payrun stop lift wallet CHANNEL)."
	}
	return "", ""
}

// isRounded recognises what is left of a long number after a spreadsheet
// showed it in scientific notation: 1.23E+18 or 1,23457E+11.
func isRounded(account string) bool {
	mantissa, exponent, ok := strings.Cut(strings.ToUpper(account), "E+")
	return ok && isDigits(exponent) && isPlain(strings.Replace(mantissa, ",", ".", 1))
}

// form finds the form of the channel's wallets that fits the account. If none
// does, the message says what the account looks like instead.
func (channel *Channel) form(account string, currency money.Currency) (*AccountForm, string) {
	var expected, other *AccountForm
	for i := range channel.Accounts {
		form := &channel.Accounts[i]
		fits := strings.HasPrefix(account, form.Prefix) && isDigits(account[len(form.Prefix):])
		mine := form.Currency == "" || form.Currency == currency
		switch {
		case fits && mine:
			return form, ""
		case mine:
			expected = form
		case fits:
			other = form
		}
	}
	switch {
	case expected == nil:
		return nil, fmt.Sprintf("Payrun does not know what %s wallets for %s look like, so it cannot check this one. Have the form added to the channel.", channel.Name, currency)
	case other != nil:
		return nil, fmt.Sprintf("This %s wallet is for %s, but the row pays %s. It must be %s.", channel.Name, other.Currency, currency, expected)
	}
	return nil, fmt.Sprintf("This is no %s wallet for %s, which is %s. Check the account and the channel.", channel.Name, currency, expected)
}

// paidForm finds the form of a wallet in any currency that the channel pays.
// If none fits, the message is that of the first currency.
func (channel *Channel) paidForm(account, message string) (*AccountForm, string) {
	for i, currency := range channel.Currencies {
		form, other := channel.form(account, currency)
		if form != nil {
			return form, ""
		}
		if i == 0 {
			message = other
		}
	}
	return nil, message
}

var letterAndDigits = regexp.MustCompile(`[A-Za-z]+[0-9]+`)

// discreet is [shown] for text that should hold no account, but does where two
// columns are swapped: what looks like a wallet shows its last four characters.
func (set *ruleset) discreet(text string) string {
	return shown(letterAndDigits.ReplaceAllStringFunc(text, func(word string) string {
		if set.looksLikeWallet(word) {
			return masked(word)
		}
		return word
	}))
}

// looksLikeWallet tells whether a text has the usual form of some channel.
func (set *ruleset) looksLikeWallet(text string) bool {
	return slices.ContainsFunc(set.Channels, func(channel Channel) bool {
		return slices.ContainsFunc(channel.Accounts, func(form AccountForm) bool { return form.usual(text) })
	})
}

// usual tells whether an account looks like the form's wallets, whether its
// letters are capital or not.
func (form AccountForm) usual(account string) bool {
	digits := len(account) - len(form.Prefix)
	return digits >= form.MinDigits && digits <= form.MaxDigits &&
		strings.EqualFold(account[:len(form.Prefix)], form.Prefix) && isDigits(account[len(form.Prefix):])
}

// Usual tells whether an account looks like one of the channel's wallets, in
// whatever currency and whether its letters are capital; if not, the text says
// what those look like.
func (channel *Channel) Usual(account string) (bool, string) {
	var looks []string
	for _, form := range channel.Accounts {
		if form.usual(account) {
			return true, ""
		}
		if look := form.Prefix + " and " + form.usualDigits(); !slices.Contains(looks, look) {
			looks = append(looks, look)
		}
	}
	return len(looks) == 0, strings.Join(looks, ", or ")
}

// String describes the form: "a capital U followed by digits".
func (form AccountForm) String() string {
	if len(form.Prefix) == 1 && form.Prefix >= "A" && form.Prefix <= "Z" {
		return fmt.Sprintf("a capital %s followed by digits", form.Prefix)
	}
	return fmt.Sprintf("%q followed by digits", form.Prefix)
}

func (form AccountForm) usualDigits() string {
	if form.MinDigits == form.MaxDigits {
		return fmt.Sprintf("%d digits", form.MinDigits)
	}
	return fmt.Sprintf("%d to %d digits", form.MinDigits, form.MaxDigits)
}
