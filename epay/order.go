package epay

// Channel is the code of an e-wallet operator, from the table of [ewallet].
type Channel string

// The channels a payout can take [ewallet].
const (
	PerfectMoney Channel = "11"
	Advcash      Channel = "12" // trades as Volet today; EPAY's pages keep the old name
	Payeer       Channel = "16"
	FasaPay      Channel = "18"
)

// Name returns the operator's name, or "" for a code that is not one of the
// constants.
func (c Channel) Name() string {
	switch c {
	case PerfectMoney:
		return "Perfect Money"
	case Advcash:
		return "Advcash"
	case Payeer:
		return "Payeer"
	case FasaPay:
		return "FasaPay"
	}
	return ""
}

// Status is the state of an order in the gateway's numbering, kept as text so
// that a number nobody has documented survives as it came.
type Status string

// Order statuses [status], [asyn]. Wallet orders start at StatusProcessing;
// what is not Final may still change.
const (
	StatusCreated           Status = "0"  // pay-in orders only
	StatusProcessing        Status = "1"  // confirmed; funds held (inferred)
	StatusCancelled         Status = "5"  // funds released
	StatusFailed            Status = "6"  // funds released
	StatusSucceeded         Status = "7"  // the payee was paid
	StatusClosed            Status = "8"  // timed out; release of funds is inferred, ask twice
	StatusFrozen            Status = "9"  // waits for a confirmation; not expected for wallets
	StatusException         Status = "11" // needs a person
	StatusPendingWithdrawal Status = "19" // waits to be picked up; cash orders
	StatusFailedFeeKept     Status = "20" // failed, the fee is not returned; release of the rest is inferred
)

// Name returns the status in words, or "" for a number that is not documented.
func (s Status) Name() string {
	switch s {
	case StatusCreated:
		return "created"
	case StatusProcessing:
		return "processing"
	case StatusCancelled:
		return "cancelled"
	case StatusFailed:
		return "failed"
	case StatusSucceeded:
		return "succeeded"
	case StatusClosed:
		return "closed"
	case StatusFrozen:
		return "frozen"
	case StatusException:
		return "exception"
	case StatusPendingWithdrawal:
		return "pending withdrawal"
	case StatusFailedFeeKept:
		return "failed, fee kept"
	}
	return ""
}

// Final reports whether [status] calls the status final: 5, 6, 7, 8 and 20.
// Undocumented numbers are not final.
func (s Status) Final() bool {
	switch s {
	case StatusCancelled, StatusFailed, StatusSucceeded, StatusClosed, StatusFailedFeeKept:
		return true
	}
	return false
}

// Order is what the gateway says about one payout. Every field may be empty
// unless its comment says otherwise: the manual's own examples print null for
// fields it calls mandatory. Amounts and the rate are plain decimal strings.
type Order struct {
	OrderNo         string // ours (merchantOrderNo); never empty in an order this package accepts
	GatewayOrderNo  string // theirs (epayOrderNo); opaque
	Category        string // "EWALLET"
	Status          Status // never empty in an order this package accepts
	Amount          string // what the payee is to get, in Currency, without the fee
	Currency        string // settlement currency (currency in look-ups, settlementCurrency elsewhere)
	ReceiveAmount   string
	ReceiveCurrency string
	Rate            string
	Fee             string // on top of Amount (payerFee in the answer to a payout, fee elsewhere)
}

// parseOrder reads an order from the data of a reply or the fields of a
// notification. It accepts nulls, absences, numbers for texts and further
// fields; it refuses other kinds of value, amounts that are not decimals, and
// the two names of one field telling different stories.
func parseOrder(data value) (Order, Reason, error) {
	f := fields{data: data}
	o := Order{
		OrderNo:         f.text("merchantOrderNo"),
		GatewayOrderNo:  f.text("epayOrderNo"),
		Category:        f.text("category"),
		Status:          Status(f.text("status")),
		Amount:          f.decimal("amount"),
		Currency:        f.either(f.text, "currency", "settlementCurrency"),
		ReceiveAmount:   f.decimal("receiveAmount"),
		ReceiveCurrency: f.text("receiveCurrency"),
		Rate:            f.decimal("rate"),
		Fee:             f.either(f.decimal, "fee", "payerFee"),
	}
	if f.err != nil {
		return o, ReasonMalformed, f.err
	}
	return o, "", nil
}

// fields reads named values and remembers the first one it could not accept.
type fields struct {
	data value
	err  error
}

func (f *fields) text(name string) string {
	s, ok := f.data.get(name).scalar()
	if !ok {
		f.fail(name, "is not a text or number")
	}
	return s
}

func (f *fields) decimal(name string) string {
	s := f.text(name)
	if s != "" && !isDecimal(s) {
		f.fail(name, "is not a plain decimal number")
	}
	return s
}

func (f *fields) either(read func(string) string, name, alias string) string {
	a, b := read(name), read(alias)
	switch {
	case a == "":
		return b
	case b != "" && a != b && !sameDecimal(a, b):
		f.fail(name, "contradicts "+alias)
	}
	return a
}

func (f *fields) check(name string, ok bool) {
	if !ok {
		f.fail(name, "is missing or not of the documented type")
	}
}

func (f *fields) fail(name, problem string) {
	if f.err == nil {
		f.err = invalid(name, problem)
	}
}
