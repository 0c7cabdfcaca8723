package sandbox

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"payrun/internal/money"
)

const (
	maxOrderNo   = 64
	maxAccount   = 128
	maxNotifyURL = 2048
	maxExtend    = 4096
)

// orderNumber is the request's merchantOrderNo, or "" if the sandbox would not
// keep an order under it: blank, longer than 64 bytes, or with spaces. No page
// of the gateway says which numbers are valid.
func orderNumber(r request) string {
	no := r.text("merchantOrderNo")
	if len(no) > maxOrderNo || strings.ContainsFunc(no, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return ""
	}
	return no
}

// create handles createEwalletTransaction for an admitted request.
func (s *Server) create(r request) reply {
	wish, refusal, ok := s.vet(r)
	if !ok {
		return s.refuseCreate(orderNumber(r), refusal)
	}
	s.mu.Lock()
	rep, legs := s.place(wish)
	s.mu.Unlock()
	if legs > 0 && s.faults.strike(call{at: Callback, orderNo: wish.Order, channel: wish.Channel, early: true}) != nil {
		s.endEarly(wish.Order, legs-1)
	}
	return rep
}

// vet checks everything about a request that does not depend on other
// requests and turns it into the event that would accept it.
func (s *Server) vet(r request) (event, reply, bool) {
	e := event{
		Event: eventAccept, Order: orderNumber(r),
		Channel: r.text("channelCode"), Currency: money.Currency(r.text("currency")),
		Text: r.text("amount"), Account: r.receiver("accountNo"),
		NotifyURL: r.text("notifyUrl"), Extend: r.extendFields(),
	}
	var problem error
	if refusal, ok := s.vetPlace(r.text("category"), e.Channel, e.Currency); !ok {
		return e, refusal, false
	}
	switch {
	case e.Order == "":
		return e, refuse(codeRequest, "merchantOrderNo is missing or not usable"), false
	case strings.TrimSpace(e.Account) == "" || len(e.Account) > maxAccount:
		return e, refuse(codeReceiver, "receiverInfo.accountNo is missing or too long"), false
	case !s.config.PlainAccounts && strings.HasSuffix(e.Account, refusedAccount):
		return e, refuse(codeReceiver, "receiver account not accepted"), false
	case len(e.NotifyURL) > maxNotifyURL || len(e.Extend) > maxExtend:
		return e, refuse(codeRequest, "notifyUrl or extendFields too long"), false
	}
	if e.Amount, problem = parseAmount(e.Text, e.Currency); problem != nil {
		return e, refuse(codeAmount, problem.Error()), false
	}
	e.Fee = s.config.Fees[e.Channel].Of(e.Amount)
	return e, reply{}, true
}

func (s *Server) vetPlace(category, channel string, currency money.Currency) (reply, bool) {
	currencies, known := s.config.Channels[channel]
	switch {
	case category != "EWALLET":
		return refuse(codeCategory, "category is not EWALLET"), false
	case !known:
		return refuse(codeChannel, "unknown channelCode"), false
	case !slices.Contains(currencies, currency):
		return refuse(codeCurrency, "currency not offered on this channel"), false
	}
	return reply{}, true
}

// parseAmount refuses more than two decimals even where they are zeros.
func parseAmount(text string, currency money.Currency) (money.Amount, error) {
	if _, fraction, _ := strings.Cut(text, "."); len(fraction) > 2 {
		return 0, fmt.Errorf("amount has more than two decimals")
	}
	amount, err := money.Parse(text, currency)
	switch {
	case err != nil:
		return 0, fmt.Errorf("amount is not valid")
	case amount <= 0:
		return 0, fmt.Errorf("amount is not positive")
	}
	return amount, nil
}

// place decides over a vetted create and books what comes of it; s.mu is held.
// legs is the order's number of legs if the create made one, else 0.
func (s *Server) place(wish event) (rep reply, legs int) {
	o := s.records.orders[wish.Order] // exists: the call was booked
	if known := o.last(); known != nil {
		switch s.config.Duplicates {
		case DuplicateRefuse:
			return s.refused(wish.Order, refuse(codeDuplicate, "merchantOrderNo exists already")), 0
		case DuplicateReturn:
			s.commit(event{Event: eventReplay, Order: wish.Order})
			return success(createData(wish.Order, known)), 0
		}
	}
	limit := s.limitOf(wish.Channel, wish.Currency)
	switch {
	case wish.Amount < limit.Min || wish.Amount > limit.Max:
		return s.refused(wish.Order, refuse(codeLimit, "amount outside the limits")), 0
	case s.records.fundsOf(wish.Currency).Available < wish.Amount+wish.Fee:
		return s.refused(wish.Order, refuse(codeBalance, "balance too low")), 0
	}
	wish.Leg = len(o.legs)
	wish.Outcome = s.outcomeOf(wish.Order, wish.Account)
	s.commit(wish)
	rep = success(createData(o.no, o.last())) // before the first step: create says status 1
	s.begin(o, wish.Leg)
	return rep, len(o.legs)
}

// refuseCreate books a create that changes nothing.
func (s *Server) refuseCreate(orderNo string, refusal reply) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused(orderNo, refusal)
}

func (s *Server) refused(orderNo string, refusal reply) reply {
	if orderNo != "" {
		s.commit(event{Event: eventRefuse, Order: orderNo, Code: refusal.code, Message: refusal.message})
	}
	return refusal
}

func (s *Server) limitOf(channel string, currency money.Currency) Limit {
	limit, ok := s.config.Limits[ChannelCurrency{channel, currency}]
	if !ok {
		limit = DefaultLimit()
	}
	return s.faults.limit(channel, limit)
}

// createData is the reply's data as the gateway's createEwalletTransaction page
// prints it: the amount as it was sent, the rest with as few decimals as possible.
func createData(orderNo string, l *leg) fields {
	currency := string(l.currency)
	return fields{
		text("category", "EWALLET"),
		text("merchantOrderNo", orderNo),
		text("epayOrderNo", l.epayOrderNo()),
		text("status", strconv.Itoa(l.status)),
		text("amount", l.text),
		text("settlementCurrency", currency),
		text("receiveAmount", oneDecimal(l.amount, l.currency)),
		text("receiveCurrency", currency),
		text("rate", "1.000000"),
		text("payerFee", oneDecimal(l.fee, l.currency)),
		textOrNull("extendFields", l.extend),
		null("rateMode"),
	}
}

// epayOrderNo is the gateway's own number: 24 digits, unique over restarts.
func (l *leg) epayOrderNo() string { return fmt.Sprintf("2311515985%014d", l.number) }

// oneDecimal drops trailing zeros but keeps one decimal ("10.0", "2.1"), the
// way the gateway's create example does.
func oneDecimal(a money.Amount, c money.Currency) string {
	text := strings.TrimRight(money.FormatDecimals(a, c, 2), "0")
	if strings.HasSuffix(text, ".") {
		text += "0"
	}
	return text
}

func twoDecimals(a money.Amount, c money.Currency) string { return money.FormatDecimals(a, c, 2) }
