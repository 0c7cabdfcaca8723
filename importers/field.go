package importers

import (
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Field is what a column of a sheet means to a payout.
type Field uint8

// The fields. FieldPayeeID is known so that it is not mistaken for a reference;
// no rule uses it. FieldTest marks rows that are only a test, and not paid;
// FieldProblems is the column of an annotated copy.
const (
	FieldIgnored Field = iota
	FieldReference
	FieldChannel
	FieldAccount
	FieldAmount
	FieldCurrency
	FieldPayee
	FieldRemark
	FieldPayDate
	FieldPayeeID
	FieldTest
	FieldProblems // written by Payrun itself
	fieldCount
)

var fieldNames = [fieldCount]string{
	"ignored", "reference", "channel", "account", "amount", "currency", "payee", "remark", "pay date", "payee id",
	"test mark", "problems",
}

// String is the field's name in messages and in saved profiles.
func (f Field) String() string { return fieldNames[f] }

// MarshalText writes the field's name.
func (f Field) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads a field's name.
func (f *Field) UnmarshalText(text []byte) error {
	for i, name := range fieldNames {
		if name == string(text) {
			*f = Field(i)
			return nil
		}
	}
	return fmt.Errorf("no field is called %q", text)
}

// aliases lists the headings by which sheets in the wild call a field. A
// heading that stands under two fields is settled by the other columns, or
// the sheet is refused as ambiguous.
var aliases = [fieldCount][]string{
	FieldReference: {
		"reference", "ref", "refcode", "reference id", "payout reference id", "payment id", "payment number",
		"payment reference", "transfer id", "transaction id", "client order id", "order id", "order number",
		"merchant reference number", "merchant order no", "request id", "unique id", "invoice", "id", "referenz",
		"номер платежа", "номер заявки", "номер платежу", "референс",
	},
	FieldChannel: {
		"channel", "channel code", "wallet type", "wallet", "method", "payout mode", "payment method", "payout method",
		"payout method type", "transfer mode", "payment mode", "payment system", "paysystem", "system", "provider",
		"service", "ps", "способ выплаты", "платежная система", "платёжная система", "платіжна система",
		"система выплаты", "способ оплаты", "спосіб виплати", "система виплати", "канал",
	},
	FieldAccount: {
		"account", "account number", "account no", "wallet", "wallet id", "wallet number", "wallet address", "e-wallet",
		"purse", "destination", "payee account", "payee identifier", "payee wallet", "to", "recipient", "recipient id",
		"recipient account", "recipient wallet", "recipient detail", "beneficiary account", "bene id", "idap", "address",
		"vpa", "crypto address", "card number",
		"номер счета", "номер счёта", "номер кошелька", "кошелек", "кошелёк", "счет", "счёт", "получатель",
		"кошелек получателя", "кошелёк получателя", "счет получателя", "счёт получателя",
		"рахунок", "номер рахунку", "номер гаманця", "гаманець", "отримувач", "гаманець отримувача", "рахунок отримувача",
	},
	FieldAmount: {
		"amount", "sum", "payout amount", "payment amount", "service amount", "target amount", "receiving amount",
		"transfer amount", "credited amount", "net amount", "value", "betrag", "сумма", "сумма выплаты", "сумма к выплате",
		"сума", "сума виплати", "сума до виплати",
	},
	FieldCurrency: {
		"currency", "currency code", "ccy", "cur", "payout currency", "target currency", "receiving currency",
		"amount currency", "submitted amount currency", "crypto currency", "währung",
		"валюта", "валюта платежа", "валюта выплаты", "валюта платежу", "валюта виплати",
	},
	FieldPayee: {
		"name", "full name", "recipient name", "beneficiary name", "account name", "payee name", "contact name",
		"nickname", "payee", "recipient", "sbp full name", "фио", "фио получателя", "имя", "имя получателя", "получатель",
		"піб", "піб отримувача", "ім'я", "ім'я отримувача", "отримувач",
	},
	FieldRemark: {
		"remark", "remarks", "note", "notes", "memo", "comment", "comments", "description", "message", "narration",
		"payout narration", "ewallet message", "subject", "purpose", "reason", "kommentar",
		"комментарий", "назначение", "назначение платежа", "описание", "примечание", "коментар", "призначення", "призначення платежу", "опис", "примітка",
	},
	FieldPayDate: {
		"date", "scheduled date", "transfer date", "value date", "pay date", "payment date", "payout date", "execution date",
		"дата", "дата выплаты", "дата виплати",
	},
	FieldPayeeID:  {"payee id", "contact id", "customer id", "user id", "beneficiary id", "external id", "id"},
	FieldTest:     {"test", "is test", "test payment", "payment type (0/1)", "тест", "тестовый платеж", "тестовий платіж"},
	FieldProblems: {ProblemsHeading},
}

// headingAliases indexes the aliases by folded heading.
func headingAliases() map[string][]Field {
	index := make(map[string][]Field)
	for field, names := range aliases {
		for _, name := range names {
			index[fold(name)] = append(index[fold(name)], Field(field))
		}
	}
	return index
}

// fold makes spellings of one heading or channel name equal: compatibility
// forms, case, spaces and punctuation do not count.
func fold(text string) string {
	folded := cases.Fold().String(norm.NFKC.String(text))
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.In(r, unicode.Cf) || strings.ContainsRune("_-.:#*()[]{}'’", r) {
			return -1
		}
		return r
	}, folded)
}
