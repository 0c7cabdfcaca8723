package alert

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"mime"
	"mime/quotedprintable"
	"slices"
	"strings"
	"time"
)

// inFull is how many messages of one mail are told in full; the others are
// counted.
const inFull = 50

// compose writes a mail. Everything that comes from a message is in the
// encoded subject or in the body, so none of it can become a header.
func (m *Mailer) compose(messages []Message) ([]byte, error) {
	var text bytes.Buffer
	recipients := make([]string, len(m.to))
	for i, to := range m.to {
		recipients[i] = to.String()
	}
	for _, header := range [][2]string{
		{"From", m.from.String()},
		{"To", strings.Join(recipients, ",\r\n ")},
		{"Subject", strings.ReplaceAll(mime.QEncoding.Encode("utf-8", subject(messages)), "?= =?", "?=\r\n =?")},
		{"Date", m.config.Clock().Format(time.RFC1123Z)},
		{"Message-ID", messageID(messages, m.helloName())},
		{"Auto-Submitted", "auto-generated"}, // no "out of office" comes back
		{"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=utf-8"},
		{"Content-Transfer-Encoding", "quoted-printable"},
	} {
		fmt.Fprintf(&text, "%s: %s\r\n", header[0], header[1])
	}
	text.WriteString("\r\n")
	w := quotedprintable.NewWriter(&text)
	if _, err := w.Write([]byte(body(messages))); err != nil {
		return nil, fmt.Errorf("write the mail: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write the mail: %w", err)
	}
	return text.Bytes(), nil
}

// messageID is the same for the same messages, so that a mail that comes
// twice can be known as one.
func messageID(messages []Message, domain string) string {
	h := sha256.New()
	for _, m := range messages {
		fmt.Fprintf(h, "%d:%s", len(m.ID), m.ID)
	}
	return "<" + hex.EncodeToString(h.Sum(nil)[:16]) + "@" + domain + ">"
}

func subject(messages []Message) string {
	const most = 150
	first := messages[0]
	text := first.Summary
	if len(messages) > 1 {
		text = fmt.Sprintf("%d alerts: %s", len(messages), kinds(messages))
	}
	runes := []rune(line("Payrun, " + first.Source + ": " + text))
	if len(runes) > most {
		runes = append(runes[:most-1], '…')
	}
	return string(runes)
}

// kinds counts messages by kind, such as "480 in-doubt, 20 contrary".
func kinds(messages []Message) string {
	counts := map[string]int{}
	for _, m := range messages {
		counts[m.Kind]++
	}
	names := slices.Sorted(maps.Keys(counts))
	for i, kind := range names {
		names[i] = fmt.Sprintf("%d %s", counts[kind], line(kind))
	}
	return strings.Join(names, ", ")
}

func body(messages []Message) string {
	var b strings.Builder
	for _, m := range messages[:min(len(messages), inFull)] {
		fmt.Fprintf(&b, "%s\r\n", line(m.Summary))
		for _, part := range [][2]string{
			{"Since", m.Since.UTC().Format("2006-01-02 15:04:05 UTC")}, {"Detail", line(m.Detail)}, {"Next", line(m.NextStep)}, {"Alert", line(m.ID)},
		} {
			if part[1] != "" {
				fmt.Fprintf(&b, "  %-7s %s\r\n", part[0]+":", part[1])
			}
		}
		b.WriteString("\r\n")
	}
	if rest := len(messages) - inFull; rest > 0 {
		fmt.Fprintf(&b, "And %d more: %s.\r\n\r\n", rest, kinds(messages[inFull:]))
	}
	fmt.Fprintf(&b, "payrun alert list shows all of them. Told by Payrun, %s.\r\n", line(messages[0].Source))
	return b.String()
}
