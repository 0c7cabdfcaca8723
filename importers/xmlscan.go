package importers

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf8"
)

// A tag, with its attributes, must fit into this many bytes, and tags may
// nest this deep.
const (
	longestTag = 64 << 10
	deepestTag = 100
)

// tokenKind tells what a token of XML is.
type tokenKind uint8

const (
	tokenOpen tokenKind = iota // also of <name/>, which a tokenClose follows
	tokenClose
	tokenText // a piece of text; a long text comes in several
)

// token is valid until the next one is read. Names come without prefix.
type token struct {
	kind       tokenKind
	name       []byte
	attributes []byte
	text       []byte
}

// xmlScanner splits XML into tokens without allocating. It is strict about
// structure (every tag closed in order, one root, no document type) and
// indifferent to everything else.
type xmlScanner struct {
	in       io.Reader
	current  token
	buffer   []byte
	from, to int // unread bytes of the buffer
	ended    bool
	inText   bool   // inside a CDATA section
	open     []byte // names of open tags, each followed by its length
	depth    int
	rooted   bool // the root element was seen
	closing  bool // a <name/> was returned and its close is due
}

func newXMLScanner(in io.Reader) *xmlScanner {
	return &xmlScanner{in: in, buffer: make([]byte, 2*longestTag)}
}

// scanXML checks the structure of a whole part.
func scanXML(in io.Reader) error {
	s := newXMLScanner(in)
	for {
		if _, err := s.next(); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
	}
}

func damagedXML(what string) *FileError {
	return refuse(XMLDamaged, "The workbook is damaged: %s. Save it again in a spreadsheet program and hand in the new file.", what)
}

// fill reads more bytes behind the unread ones. It returns io.EOF if there
// are none, and refuses a tag that outgrows the buffer.
func (s *xmlScanner) fill() error {
	if s.ended {
		return io.EOF
	}
	if s.from == s.to {
		s.from, s.to = 0, 0
	}
	if s.to == len(s.buffer) {
		if s.from == 0 {
			return damagedXML("a tag is too long")
		}
		s.to = copy(s.buffer, s.buffer[s.from:s.to])
		s.from = 0
	}
	n, err := io.ReadAtLeast(s.in, s.buffer[s.to:], 1)
	s.to += n
	if errors.Is(err, io.EOF) {
		s.ended = true
		return io.EOF
	}
	return err
}

// next returns the next token, or io.EOF after the end of the root element.
func (s *xmlScanner) next() (*token, error) {
	if s.closing {
		s.closing = false
		s.current = token{kind: tokenClose, name: local(s.pop())}
		return &s.current, nil
	}
	for {
		if s.from == s.to {
			if err := s.fill(); err == io.EOF {
				return nil, s.atEnd()
			} else if err != nil {
				return nil, err
			}
		}
		var found bool
		var err error
		if s.inText || s.buffer[s.from] != '<' {
			found, err = s.text()
		} else {
			found, err = s.markup()
		}
		if err != nil {
			return nil, err
		}
		if found {
			return &s.current, nil
		}
	}
}

func (s *xmlScanner) atEnd() error {
	if s.depth > 0 || !s.rooted || s.inText {
		return damagedXML("one of its parts ends too early")
	}
	return io.EOF
}

// text takes text up to the next tag, or as much of it as is buffered.
func (s *xmlScanner) text() (found bool, err error) {
	unread := s.buffer[s.from:s.to]
	if s.inText {
		unread, err = s.cdata()
		s.current = token{kind: tokenText, text: unread}
		return len(unread) > 0, err
	}
	if end := bytes.IndexByte(unread, '<'); end >= 0 {
		unread = unread[:end]
	}
	s.from += len(unread)
	if s.depth == 0 && len(bytes.TrimSpace(unread)) > 0 && !bytes.HasPrefix(unread, []byte("\ufeff")) {
		return false, damagedXML("one of its parts has text outside of its root")
	}
	s.current = token{kind: tokenText, text: unread}
	return true, nil
}

var (
	cdataStart = []byte("<![CDATA[")
	cdataEnd   = []byte("]]>")
)

func (s *xmlScanner) cdata() ([]byte, error) {
	for {
		unread := s.buffer[s.from:s.to]
		if end := bytes.Index(unread, cdataEnd); end >= 0 {
			s.from += end + len(cdataEnd)
			s.inText = false
			return unread[:end], nil
		}
		if len(unread) > len(cdataEnd) {
			s.from = s.to - len(cdataEnd)
			return unread[:len(unread)-len(cdataEnd)], nil
		}
		if err := s.fill(); err != nil {
			return nil, orDamaged(err)
		}
	}
}

// orDamaged turns the end of the input inside a tag into a refusal.
func orDamaged(err error) error {
	if err == io.EOF {
		return damagedXML("one of its parts ends inside a tag")
	}
	return err
}

// markup reads what begins with "<". found is false for comments and the
// like, which are skipped.
func (s *xmlScanner) markup() (found bool, err error) {
	for s.to-s.from < len(cdataStart) && !s.ended {
		if err := s.fill(); err != nil && err != io.EOF {
			return false, err
		}
	}
	unread := s.buffer[s.from:s.to]
	switch {
	case len(unread) < 2 || unread[1] != '!' && unread[1] != '?':
		return true, s.tag()
	case bytes.HasPrefix(unread, []byte("<!--")):
		s.from += 4
		return false, s.skipPast("-->")
	case bytes.HasPrefix(unread, cdataStart):
		s.from += len(cdataStart)
		s.inText = true
		return false, nil
	case unread[1] == '?':
		s.from += 2
		return false, s.skipPast("?>")
	}
	return false, refuse(XMLDoctype, "The workbook holds a document type or entity declaration, which no spreadsheet program writes and which attacks use. Do not open this file; ask where it came from.")
}

func (s *xmlScanner) skipPast(end string) error {
	for {
		unread := s.buffer[s.from:s.to]
		if at := bytes.Index(unread, []byte(end)); at >= 0 {
			s.from += at + len(end)
			return nil
		}
		s.from = max(s.from, s.to-len(end)+1)
		if err := s.fill(); err != nil {
			return orDamaged(err)
		}
	}
}

// tag reads an opening or closing tag.
func (s *xmlScanner) tag() error {
	length, err := s.tagLength()
	if err != nil {
		return err
	}
	inner := s.buffer[s.from+1 : s.from+length-1]
	s.from += length
	if len(inner) > 0 && inner[0] == '/' {
		name := trimSpaceRight(inner[1:])
		if s.depth == 0 || !bytes.Equal(name, s.top()) {
			return damagedXML("the tags of one of its parts do not match")
		}
		s.current = token{kind: tokenClose, name: local(s.pop())}
		return nil
	}
	if len(inner) > 0 && inner[len(inner)-1] == '/' {
		inner, s.closing = inner[:len(inner)-1], true
	}
	end := 0
	for end < len(inner) && !isSpace(inner[end]) {
		end++
	}
	s.current = token{kind: tokenOpen, name: local(inner[:end]), attributes: inner[end:]}
	return s.push(inner[:end])
}

// tagLength finds the ">" that ends the tag, past any in quotes.
func (s *xmlScanner) tagLength() (int, error) {
	for {
		if length, err := tagLength(s.buffer[s.from:s.to]); length > 0 || err != nil {
			return length, err
		}
		if err := s.fill(); err != nil {
			return 0, orDamaged(err)
		}
	}
}

// tagLength is the length of the tag at the start of the text, 0 if the text
// ends before it does.
func tagLength(text []byte) (int, error) {
	// Nearly always the first ">" ends the tag: no quoted one is before it.
	end := bytes.IndexByte(text, '>')
	if end > 0 && bytes.Count(text[:end], []byte{'"'})%2 == 0 && bytes.IndexByte(text[:end], '\'') < 0 {
		if bytes.IndexByte(text[1:end], '<') >= 0 {
			return 0, damagedXML("a tag is not closed")
		}
		return end + 1, nil
	}
	var quote byte
	for at := 1; at < len(text); at++ {
		switch c := text[at]; {
		case at > longestTag:
			return 0, damagedXML("a tag is too long")
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return at + 1, nil
		case c == '<':
			return 0, damagedXML("a tag is not closed")
		}
	}
	return 0, nil
}

func (s *xmlScanner) push(name []byte) error {
	switch {
	case len(name) == 0 || len(name) > 255 || !utf8.Valid(name):
		return damagedXML("a tag has no proper name")
	case s.depth == 0 && s.rooted:
		return damagedXML("one of its parts has two roots")
	case s.depth == deepestTag:
		return damagedXML("its tags are nested too deep")
	}
	s.rooted = true
	s.depth++
	s.open = append(append(s.open, name...), byte(len(name)))
	return nil
}

func (s *xmlScanner) top() []byte {
	end := len(s.open) - 1
	return s.open[end-int(s.open[end]) : end]
}

func (s *xmlScanner) pop() []byte {
	name := s.top()
	s.open = s.open[:len(s.open)-1-len(name)]
	s.depth--
	return name
}

// local strips the namespace prefix of a name.
func local(name []byte) []byte {
	return name[bytes.IndexByte(name, ':')+1:]
}

// attributes walks through the attributes of a tag.
type attributes struct {
	rest        []byte
	name, value []byte
	bad         bool // what is left is not an attribute
}

// next moves to the next attribute. It is false at the end and when the rest
// is bad.
func (a *attributes) next() bool {
	a.rest = trimSpaceLeft(a.rest)
	if len(a.rest) == 0 {
		return false
	}
	a.bad = true
	equals := bytes.IndexByte(a.rest, '=')
	if equals <= 0 {
		return false
	}
	a.name = trimSpaceRight(a.rest[:equals])
	rest := trimSpaceLeft(a.rest[equals+1:])
	if len(rest) < 2 || rest[0] != '"' && rest[0] != '\'' {
		return false
	}
	end := bytes.IndexByte(rest[1:], rest[0])
	if end < 0 {
		return false
	}
	a.value, a.rest, a.bad = rest[1:end+1], rest[end+2:], false
	return true
}

// attribute finds one attribute by its full name, nil if it is absent.
func attribute(list []byte, name string) []byte {
	a := attributes{rest: list}
	for a.next() {
		if string(a.name) == name {
			return a.value
		}
	}
	return nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

func trimSpaceLeft(text []byte) []byte {
	for len(text) > 0 && isSpace(text[0]) {
		text = text[1:]
	}
	return text
}

func trimSpaceRight(text []byte) []byte {
	for len(text) > 0 && isSpace(text[len(text)-1]) {
		text = text[:len(text)-1]
	}
	return text
}
