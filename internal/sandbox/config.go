package sandbox

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime"
	"time"

	"payrun/internal/money"
)

// The account and key that a sandbox uses unless told otherwise. They are
// public on purpose: nothing but a sandbox accepts them.
const (
	DefaultAccount = "sandbox@payrun.example"
	DefaultKey     = "SANDBOX0KEY0that0opens0nothing01"
)

// Wallet channels, by the gateway's channelCode.
const (
	PerfectMoney = "11"
	Advcash      = "12"
	Payeer       = "16"
	FasaPay      = "18"
)

// Config sets a sandbox up. The zero value is a gateway that pays every order
// after ten to thirty minutes, keeps its book in memory and makes no mistakes.
//
// Durations that describe the gateway (ProcessingMin, ProcessingMax,
// NotFoundFor, the callback retries) are in gateway time and shrink with
// TimeScale; durations of a [Fault] are not scaled.
type Config struct {
	Account string // merchant account; default DefaultAccount
	Key     string // API key; default DefaultKey

	Separator Separator // of nested members in signatures; default SeparatorJava

	// BookPath is the file that keeps the book; empty keeps it in memory. At
	// most one sandbox may use a file at a time.
	BookPath string

	// Seed decides, together with the order number, how each order goes and
	// how long it takes, and where faults with a rate strike.
	Seed int64

	// TimeScale multiplies gateway time: 0.001 makes a second of a quarter of
	// an hour. Default 1.
	TimeScale float64

	// An order's way from status 1 to its last one takes between
	// ProcessingMin and ProcessingMax; default 10 and 30 minutes.
	ProcessingMin, ProcessingMax time.Duration

	// Instant ends each order within its create call, without any timer; the
	// create reply still says status 1. For benchmarks.
	Instant bool

	// NotFoundFor makes queries deny an order for so long after its creation.
	NotFoundFor time.Duration

	// Outcomes are the weights of the ways an order can go; default all "7".
	Outcomes []Weighted

	// Scripts fixes the outcome of single orders, by order number.
	Scripts map[string]Outcome

	// PlainAccounts switches off the convention that the last digits of an
	// account number choose the outcome (see the package comment).
	PlainAccounts bool

	// Channels lists the currencies of each channel; default USD and EUR for
	// 11, 12 and 16, USD for 18.
	Channels map[string][]money.Currency

	// Limits per payout; a pair that is missing has DefaultLimit.
	Limits map[ChannelCurrency]Limit

	Fees map[string]Fee // per channel, on top of the amount; default none

	// Balances is the opening balance, booked once: a restart from a book
	// books only currencies the book has no money in. Default 1,000,000.00
	// each of USD and EUR.
	Balances map[money.Currency]money.Amount

	Duplicates   Duplicates   // what a repeated order number does; default DuplicateRefuse
	ReplySigning ReplySigning // default SignData
	NotFound     NotFound     // shape of the reply to an unknown order; default NotFoundCode
	RandomCodes  bool         // a new random code with every error, so that nobody can rely on them
	ErrorStatus  int          // HTTP status of replies with a code other than 1; default 200

	Callbacks CallbackConfig
	Faults    Faults // in force from the start

	Clock Clock        // default the system's
	Log   *slog.Logger // default none
}

// CallbackConfig sets up the notifications to an order's notifyUrl.
type CallbackConfig struct {
	Off     bool              // send none
	Pickup  bool              // also tell status 19, which the documents do not list
	Workers int               // sent at the same time; default 2 per CPU, at least 4
	Timeout time.Duration     // per try, not scaled; default 10 s
	Extra   map[string]string // further form fields, signed like the others

	// Transport sends the tries; default a client that connects to loopback
	// addresses only. Redirects are never followed.
	Transport http.RoundTripper
}

// ChannelCurrency is a channel code with one of its currencies.
type ChannelCurrency struct {
	Channel  string
	Currency money.Currency
}

// Limit is the smallest and largest amount of one payout, in minor units.
type Limit struct {
	Min, Max money.Amount
}

// DefaultLimit is one minor unit to the maximum that the gateway's getLimit
// page prints, as minor units of a two-decimal currency.
func DefaultLimit() Limit { return Limit{Min: 1, Max: 9_999_999_00} }

// Fee is what a payout costs on top of its amount: Flat minor units plus a
// share in parts per million, rounded up.
type Fee struct {
	Flat            money.Amount
	PartsPerMillion int64
}

// Of is the fee for an amount.
func (f Fee) Of(amount money.Amount) money.Amount {
	return f.Flat + money.Share(amount, f.PartsPerMillion)
}

// Duplicates says what a create with a known order number does. No document
// says what the real gateway does.
type Duplicates string

// The policies for a repeated order number.
const (
	DuplicateRefuse Duplicates = "refuse" // an error code, nothing done
	DuplicateReturn Duplicates = "return" // the stored order as the reply, nothing done
	DuplicatePay    Duplicates = "pay"    // paid again: the policy that makes a double payment visible
)

// ReplySigning says which replies carry a signature.
type ReplySigning string

// The ways to sign replies.
const (
	SignData   ReplySigning = "data"   // where data is an object; the rest have an empty sign
	SignAlways ReplySigning = "always" // arrays and null too, in a form invented here
	SignNever  ReplySigning = "never"
)

// NotFound is the shape of the reply to a query for an unknown order.
type NotFound string

// The shapes that a "no such order" can take; none is documented.
const (
	NotFoundCode NotFound = "code" // a code other than 1
	NotFoundNull NotFound = "null" // code 1 with data null
)

// Demo is a gateway worth showing: all four channels with fees and limits, a
// few failures among many payments, and orders that end within two seconds.
func Demo() Config {
	usd := func(channel string) ChannelCurrency { return ChannelCurrency{channel, "USD"} }
	return Config{
		TimeScale: 0.001,
		Outcomes: []Weighted{
			{"7", 940}, {"6", 25}, {"19,7", 15}, {"5", 8}, {"8", 6}, {"20", 6},
		},
		Limits: map[ChannelCurrency]Limit{
			usd(PerfectMoney): {1_00, 5_000_00},
			usd(Advcash):      {1_00, 10_000_00},
			usd(Payeer):       {50, 10_000_00},
			usd(FasaPay):      {1_00, 2_500_00},
		},
		Fees: map[string]Fee{
			PerfectMoney: {PartsPerMillion: 5_000},
			Advcash:      {Flat: 10, PartsPerMillion: 10_000},
			Payeer:       {PartsPerMillion: 9_500},
			FasaPay:      {Flat: 15, PartsPerMillion: 5_000},
		},
	}
}

func (c Config) withDefaults() Config {
	c.Account = or(c.Account, DefaultAccount)
	c.Key = or(c.Key, DefaultKey)
	c.Separator = or(c.Separator, SeparatorJava)
	c.TimeScale = or(c.TimeScale, 1)
	c.ProcessingMin = or(c.ProcessingMin, min(10*time.Minute, or(c.ProcessingMax, 10*time.Minute)))
	c.ProcessingMax = or(c.ProcessingMax, max(30*time.Minute, c.ProcessingMin))
	c.Duplicates = or(c.Duplicates, DuplicateRefuse)
	c.ReplySigning = or(c.ReplySigning, SignData)
	c.NotFound = or(c.NotFound, NotFoundCode)
	c.ErrorStatus = or(c.ErrorStatus, http.StatusOK)
	c.Callbacks.Workers = or(c.Callbacks.Workers, max(4, 2*runtime.GOMAXPROCS(0)))
	c.Callbacks.Timeout = or(c.Callbacks.Timeout, 10*time.Second)
	if len(c.Outcomes) == 0 {
		c.Outcomes = []Weighted{{"7", 1}}
	}
	if c.Channels == nil {
		wide := []money.Currency{"USD", "EUR"}
		c.Channels = map[string][]money.Currency{
			PerfectMoney: wide, Advcash: wide, Payeer: wide, FasaPay: {"USD"},
		}
	}
	if c.Balances == nil {
		c.Balances = map[money.Currency]money.Amount{"USD": 1_000_000_00, "EUR": 1_000_000_00}
	}
	if c.Clock == nil {
		c.Clock = systemClock{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Scripts = maps.Clone(c.Scripts)
	if c.Scripts == nil {
		c.Scripts = make(map[string]Outcome)
	}
	return c
}

func or[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// validate reports every setting that cannot work.
func (c Config) validate() error {
	errs := []error{
		oneOf("separator", c.Separator, SeparatorJava, SeparatorAmp, SeparatorComma, SeparatorAny),
		oneOf("duplicates", c.Duplicates, DuplicateRefuse, DuplicateReturn, DuplicatePay),
		oneOf("reply signing", c.ReplySigning, SignData, SignAlways, SignNever),
		oneOf("not found", c.NotFound, NotFoundCode, NotFoundNull),
		c.validateOutcomes(),
		c.Faults.validate(),
	}
	for currency, amount := range c.Balances {
		if _, err := currency.Exponent(); err != nil || amount < 0 {
			errs = append(errs, fmt.Errorf("balance %d %q is not possible", amount, string(currency)))
		}
	}
	for channel, currencies := range c.Channels {
		for _, currency := range currencies {
			if _, err := currency.Exponent(); err != nil {
				errs = append(errs, fmt.Errorf("channel %s: %w", channel, err))
			}
		}
	}
	for channel, fee := range c.Fees {
		if fee.Flat < 0 || fee.PartsPerMillion < 0 || fee.PartsPerMillion > 1_000_000 {
			errs = append(errs, fmt.Errorf("channel %s: fee %+v is not possible", channel, fee))
		}
	}
	if c.TimeScale < 0 || c.ProcessingMin < 0 || c.ProcessingMax < c.ProcessingMin {
		errs = append(errs, fmt.Errorf("time scale %g with processing %s to %s is not possible",
			c.TimeScale, c.ProcessingMin, c.ProcessingMax))
	}
	return errors.Join(errs...)
}

func (c Config) validateOutcomes() error {
	var errs []error
	total := 0
	for _, w := range c.Outcomes {
		_, err := w.Outcome.statuses()
		errs = append(errs, err)
		if w.Weight < 0 {
			errs = append(errs, fmt.Errorf("outcome %q: negative weight", string(w.Outcome)))
		}
		total += w.Weight
	}
	if total <= 0 {
		errs = append(errs, errors.New("the outcomes have no weight"))
	}
	for orderNo, outcome := range c.Scripts {
		if _, err := outcome.statuses(); err != nil {
			errs = append(errs, fmt.Errorf("script of order %s: %w", orderNo, err))
		}
	}
	return errors.Join(errs...)
}

func oneOf[T ~string](what string, value T, allowed ...T) error {
	for _, a := range allowed {
		if value == a {
			return nil
		}
	}
	return fmt.Errorf("%s: %q is not one of %v", what, string(value), allowed)
}
