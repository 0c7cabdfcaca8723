package importers

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"payrun/internal/money"
)

// Rules say what a good row is. The zero value reads sheets of the channels
// of [DefaultChannels] with the limits named below.
type Rules struct {
	// Channels that may be paid; nil means DefaultChannels.
	Channels []Channel
	// Profile says how the sheet is written.
	Profile
	// OwnAccounts and BlockedAccounts are never paid; upper and lower case of
	// blocked ones are one.
	OwnAccounts, BlockedAccounts []string
	// MaxAmounts is the most that the maker may pay in one row, by currency.
	MaxAmounts map[money.Currency]money.Amount
	// MaxDigits is the longest amount in digits, decimals included [9].
	MaxDigits int
	// Today is the business day, such as 2026-11-30, by which pay dates far
	// from it are found; "" finds none.
	Today string
	// MaxBytes is the largest file [10 MiB] and MaxUnzipped the most that a
	// workbook may unpack to [100 MiB], in bytes.
	MaxBytes, MaxUnzipped int64
	// MaxEntries counts files inside a workbook [200], MaxRows data rows
	// [50,000], MaxColumns columns [50].
	MaxEntries, MaxRows, MaxColumns int
	// TempDir is where large workbooks are unpacked, and where the tables of
	// repeats of very long sheets are; "" is the system's.
	TempDir string
}

// Channel is one way to pay: an e-wallet operator behind the gateway.
type Channel struct {
	Code       string                   // the gateway's code, such as "16"
	Name       string                   // as people write it, such as "Payeer"
	Aliases    []string                 // other ways to write it; case and spaces do not matter
	Currencies []money.Currency         // those that may be paid
	Accounts   []AccountForm            // what its wallets look like
	Limits     map[money.Currency]Limit // per payout; a missing currency has no limit
}

// AccountForm describes the wallets of one currency: a prefix, then digits.
// A wrong prefix is a mistake; an unusual number of digits is a warning,
// because operators do not publish theirs.
type AccountForm struct {
	Currency             money.Currency // "" if wallets of all currencies look alike
	Prefix               string         // such as "U"; upper and lower case differ
	MinDigits, MaxDigits int            // usual number of digits after the prefix
}

// Limit bounds one payout in minor units, both ends included. A Max of zero
// is no upper bound.
type Limit struct{ Min, Max money.Amount }

// DefaultChannels returns the e-wallets behind EPAY. Their wallet forms come
// from the operators' public material, not from EPAY, which publishes none;
// the digit counts of FasaPay are inferred from samples. Only US dollars are
// switched on, since EPAY documents no other currency for wallets.
func DefaultChannels() []Channel {
	dollars := []money.Currency{"USD"}
	return []Channel{
		{
			Code: "11", Name: "Perfect Money", Aliases: []string{"pm"}, Currencies: dollars,
			Accounts: []AccountForm{{"USD", "U", 6, 9}, {"EUR", "E", 6, 9}},
		},
		{
			Code: "12", Name: "Advcash", Aliases: []string{"adv cash", "advanced cash", "volet", "volet.com"}, Currencies: dollars,
			Accounts: []AccountForm{{"USD", "U", 12, 12}, {"EUR", "E", 12, 12}, {"RUB", "R", 12, 12}, {"GBP", "G", 12, 12}},
		},
		{
			Code: "16", Name: "Payeer", Currencies: dollars,
			Accounts: []AccountForm{{"", "P", 7, 15}},
		},
		{
			Code: "18", Name: "FasaPay", Aliases: []string{"fasa"}, Currencies: dollars,
			Accounts: []AccountForm{{"", "FP", 4, 9}},
		},
	}
}

// Longest texts, in characters.
const (
	longestAccount   = 50
	longestReference = 64
	longestPayee     = 140
	longestRemark    = 200
	longestCell      = 32_767 // what a spreadsheet cell can hold
)

// ruleset is Rules with its defaults filled in and its lists indexed.
type ruleset struct {
	Rules
	channels     map[string]*Channel // by folded code, name or alias
	own, blocked map[string]bool
	spellings    map[string]*Channel // names met in the sheet so far
	aliases      map[string][]Field
	byHand       map[string]Field // folded headings that the profile assigns
	letters      map[int]Field    // columns that the profile assigns by letter
	// Pay dates before the one and after the other are far.
	earliest, latest string
}

func (rules Rules) compile() (*ruleset, error) {
	set := &ruleset{
		Rules:    rules.withDefaults(),
		channels: map[string]*Channel{}, spellings: map[string]*Channel{}, letters: map[int]Field{},
		own:     index(rules.OwnAccounts),
		blocked: lowered(rules.BlockedAccounts),
	}
	if err := rules.Profile.Validate(); err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	for i := range set.Channels {
		if err := set.addChannel(&set.Channels[i]); err != nil {
			return nil, err
		}
	}
	if set.Channel != "" && set.channels[fold(set.Channel)] == nil {
		return nil, fmt.Errorf("rules: channel %q is not among the channels", set.Channel)
	}
	if rules.Today != "" {
		today, err := time.Parse(time.DateOnly, rules.Today)
		if err != nil {
			return nil, fmt.Errorf("rules: today is no day: %w", err)
		}
		set.earliest, set.latest = today.AddDate(0, -1, 0).Format(time.DateOnly), today.AddDate(1, 0, 0).Format(time.DateOnly)
	}
	set.aliases = headingAliases()
	set.byHand = make(map[string]Field, len(rules.Columns))
	for heading, field := range rules.Columns {
		set.byHand[fold(heading)] = field
	}
	for letter, field := range rules.Letters {
		column, _ := columnIndex(letter) // Validate saw it
		set.letters[column] = field
	}
	return set, nil
}

func (rules Rules) withDefaults() Rules {
	if rules.Channels == nil {
		rules.Channels = DefaultChannels()
	}
	if rules.DecimalMark == "" {
		rules.DecimalMark = "."
	}
	orDefault(&rules.MaxDigits, 9)
	orDefault(&rules.MaxBytes, 10<<20)
	orDefault(&rules.MaxUnzipped, 100<<20)
	orDefault(&rules.MaxEntries, 200)
	orDefault(&rules.MaxRows, 50_000)
	rules.MaxColumns = rules.MostColumns()
	return rules
}

// MostColumns is how many columns a sheet may have.
func (rules Rules) MostColumns() int { return cmp.Or(rules.MaxColumns, 50) }

// LastAssigned is the last column that the profile gives a meaning by its
// letter, counted from 1; 0 for none.
func (rules Rules) LastAssigned() (last int) {
	for letter := range rules.Letters {
		if column, ok := columnIndex(letter); ok {
			last = max(last, column+1)
		}
	}
	return last
}

func orDefault[T ~int | ~int64](value *T, otherwise T) {
	if *value == 0 {
		*value = otherwise
	}
}

func (set *ruleset) addChannel(channel *Channel) error {
	for _, name := range append([]string{channel.Code, channel.Name}, channel.Aliases...) {
		key := fold(name)
		if other := set.channels[key]; other != nil && other != channel {
			return fmt.Errorf("rules: channels %s and %s are both called %q", other.Code, channel.Code, name)
		}
		set.channels[key] = channel
	}
	return nil
}

// ChannelCode finds the code of a channel by any of its names.
func (rules Rules) ChannelCode(name string) (code string, known bool) {
	set, err := rules.compile()
	if err != nil || set.channels[fold(name)] == nil {
		return "", false
	}
	return set.channels[fold(name)].Code, true
}

// channelNames lists the channels for messages: "Payeer (16), FasaPay (18)".
func (set *ruleset) channelNames() string {
	names := make([]string, len(set.Channels))
	for i, channel := range set.Channels {
		names[i] = fmt.Sprintf("%s (%s)", channel.Name, channel.Code)
	}
	return strings.Join(names, ", ")
}

func index(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, item := range list {
		set[item] = true
	}
	return set
}

func lowered(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, item := range list {
		set[strings.ToLower(item)] = true
	}
	return set
}
