package sandbox

import (
	"maps"
	"slices"
	"strconv"

	"payrun/internal/money"
)

// query handles queryTransaction for an admitted request.
func (s *Server) query(r request) reply {
	orderNo := orderNumber(r)
	if orderNo == "" {
		return refuse(codeRequest, "merchantOrderNo is missing or not usable")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.records.orders[orderNo]
	l := o.last()
	if l == nil || s.age(o) < s.scaled(s.config.NotFoundFor) {
		return s.notFound()
	}
	return success(queryData(orderNo, l))
}

func (s *Server) notFound() reply {
	if s.config.NotFound == NotFoundNull {
		return success(nil)
	}
	return refuse(codeNotFound, "order not found")
}

// queryData is the reply's data as the gateway's queryTransaction page prints
// it. Several names differ from those of create: currency, fee, receiveInfo.
func queryData(orderNo string, l *leg) fields {
	amount, currency := twoDecimals(l.amount, l.currency), string(l.currency)
	return fields{
		text("category", "EWALLET"),
		text("merchantOrderNo", orderNo),
		text("epayOrderNo", l.epayOrderNo()),
		text("pinCode", ""),
		text("status", strconv.Itoa(l.status)),
		text("amount", amount),
		text("currency", currency),
		text("receiveAmount", amount),
		text("receiveCurrency", currency),
		text("paymentAmount", amount),
		text("paymentCurrency", currency),
		text("rate", "1.000000"),
		text("fee", oneDecimal(l.fee, l.currency)),
		textOrNull("extendFields", l.extend),
		text("rateMode", "1"),
		null("senderInfo"),
		null("receiveInfo"),
		null("orderDescription"),
	}
}

// limits handles getLimit. The documents list only BANK and CASH; the wallet
// flow asks for EWALLET, so all three are answered. Without a channelCode the
// answer is the widest over the currency's channels.
func (s *Server) limits(r request) reply {
	currency := money.Currency(r.text("currency"))
	switch r.text("category") {
	case "BANK", "CASH", "EWALLET":
	default:
		return refuse(codeCategory, "unknown category")
	}
	switch r.text("type") {
	case "", "RECEIVE", "PAYMENT":
	default:
		return refuse(codeRequest, "type is neither RECEIVE nor PAYMENT")
	}
	channels := slices.Sorted(maps.Keys(s.config.Channels))
	if channel := r.text("channelCode"); channel != "" {
		if _, known := s.config.Channels[channel]; !known {
			return refuse(codeChannel, "unknown channelCode")
		}
		channels = []string{channel}
	}
	limit, ok := s.widest(channels, currency)
	if !ok {
		return refuse(codeCurrency, "currency not offered")
	}
	return success(fields{
		text("singleMin", twoDecimals(limit.Min, currency)),
		text("singleMax", twoDecimals(limit.Max, currency)),
	})
}

func (s *Server) widest(channels []string, currency money.Currency) (limit Limit, found bool) {
	for _, channel := range channels {
		if !slices.Contains(s.config.Channels[channel], currency) {
			continue
		}
		next := s.limitOf(channel, currency)
		if found {
			next = Limit{min(next.Min, limit.Min), max(next.Max, limit.Max)}
		}
		limit, found = next, true
	}
	return limit, found
}

// balances handles getBalance: the available money, of one currency or of all.
func (s *Server) balances(r request) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	currencies := slices.Sorted(maps.Keys(s.records.funds))
	if wanted := money.Currency(r.text("currency")); wanted != "" {
		if s.records.funds[wanted] == nil {
			return refuse(codeCurrency, "no balance in this currency")
		}
		currencies = []money.Currency{wanted}
	}
	list := make([]fields, 0, len(currencies))
	for _, currency := range currencies {
		list = append(list, fields{
			text("currency", string(currency)),
			text("balance", twoDecimals(s.records.funds[currency].Available, currency)),
		})
	}
	return reply{code: codeSuccess, message: "success", list: list}
}
