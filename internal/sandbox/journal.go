package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// journal is the book's file: one JSON event a line, appended only. append
// puts an event in a buffer; flush returns when everything appended before it
// has been handed to the operating system, so it outlives a killed process
// (not a power cut: nothing is fsynced). Whoever flushes first writes for all.
// A nil *journal keeps nothing.
type journal struct {
	file *os.File

	mu      sync.Mutex // guards pending and end
	pending []byte
	end     int64 // size of the file once pending is written

	writing sync.Mutex // guards the fields below
	written int64
	spare   []byte
}

// openJournal opens or creates the file and hands each stored event to apply.
// A last line without its line feed was torn by a kill: it is cut off.
func openJournal(path string, apply func(event) error) (*journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open book: %w", err)
	}
	j := &journal{file: file}
	if err := j.load(apply); err != nil {
		return nil, errors.Join(fmt.Errorf("book %s: %w", path, err), file.Close())
	}
	return j, nil
}

func (j *journal) load(apply func(event) error) error {
	if err := lock(j.file); err != nil {
		return fmt.Errorf("in use by another sandbox: %w", err)
	}
	size, err := replay(j.file, apply)
	if err != nil {
		return err
	}
	if err := j.file.Truncate(size); err != nil {
		return fmt.Errorf("cut torn last line: %w", err)
	}
	if _, err := j.file.Seek(size, io.SeekStart); err != nil {
		return err
	}
	j.end, j.written = size, size
	return nil
}

// replay applies every complete line and returns where the last one ends.
func replay(file io.Reader, apply func(event) error) (size int64, err error) {
	const chunk = 1 << 20
	buffer := make([]byte, 0, chunk)
	for line := 1; ; {
		n, readErr := file.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		rest := buffer
		for {
			text, after, complete := bytes.Cut(rest, []byte{'\n'})
			if !complete {
				break
			}
			if err := applyLine(text, apply); err != nil {
				return 0, fmt.Errorf("line %d: %w", line, err)
			}
			size += int64(len(text)) + 1
			line++
			rest = after
		}
		switch {
		case errors.Is(readErr, io.EOF):
			return size, nil
		case readErr != nil:
			return 0, fmt.Errorf("read: %w", readErr)
		case len(rest) == cap(buffer):
			return 0, fmt.Errorf("line %d: longer than %d bytes", line, chunk)
		}
		buffer = append(buffer[:0], rest...)
	}
}

func applyLine(line []byte, apply func(event) error) error {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		return fmt.Errorf("%w: %w", errBook, err)
	}
	return apply(e)
}

func (j *journal) append(e event) {
	if j == nil {
		return
	}
	line, err := json.Marshal(e)
	if err != nil {
		panic(err) // an event holds only texts and numbers
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pending = append(append(j.pending, line...), '\n')
	j.end += int64(len(line)) + 1
}

// flush writes what is pending. After an error it can be tried again: the
// bytes that did not fit stay pending, in order.
func (j *journal) flush() error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	end := j.end
	j.mu.Unlock()

	j.writing.Lock()
	defer j.writing.Unlock()
	if j.written >= end {
		return nil // someone else wrote it while we waited
	}
	j.mu.Lock()
	batch := j.pending
	j.pending = j.spare[:0]
	j.mu.Unlock()

	n, err := j.file.Write(batch)
	j.written += int64(n)
	if err == nil {
		j.spare = batch
		return nil
	}
	j.mu.Lock()
	j.pending = append(batch[n:len(batch):len(batch)], j.pending...)
	j.spare = nil
	j.mu.Unlock()
	return fmt.Errorf("write book: %w", err)
}

func (j *journal) close() error {
	if j == nil {
		return nil
	}
	return errors.Join(j.flush(), j.file.Close())
}
