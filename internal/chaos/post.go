package main

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// postOffice stands between the gateway and the workers: it hands each
// notification to a worker that is there, holds some back, and forges.
type postOffice struct {
	url     string
	workers []string // addresses
	server  *http.Server
	client  *http.Client
	forgers sync.WaitGroup

	mu      sync.Mutex
	random  *rand.Rand
	carried int // notifications that a worker took
	forged  int
	taken   int // of the forged: none may be
}

func openPostOffice(seed uint64, addresses []string) (*postOffice, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &postOffice{
		url: "http://" + listener.Addr().String() + "/notify/epay", workers: addresses,
		client: &http.Client{Timeout: 2 * time.Second}, random: random(seed, "post"),
	}
	p.server = &http.Server{Handler: p}
	go p.server.Serve(listener)
	return p, nil
}

// ServeHTTP carries a notification and answers as the worker does. Some come
// late, behind others that were sent after them, and next to some goes one
// that somebody forged.
func (p *postOffice) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	kind := r.Header.Get("Content-Type")
	p.mu.Lock()
	late, forge, which := p.random.IntN(10) == 0, p.random.IntN(10) == 0, p.random.IntN(3)
	p.mu.Unlock()
	if forge {
		p.forgers.Go(func() { p.forge(kind, body, which) })
	}
	if late {
		select {
		case <-r.Context().Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
	status, answer := p.carry(kind, body)
	w.WriteHeader(status)
	_, _ = w.Write(answer)
	if status == http.StatusOK {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.carried++
	}
}

// carry hands a body to a worker; when none is there, the gateway tries again.
func (p *postOffice) carry(kind string, body []byte) (status int, answer []byte) {
	p.mu.Lock()
	order := p.random.Perm(len(p.workers))
	p.mu.Unlock()
	for _, i := range order {
		response, err := p.client.Post("http://"+p.workers[i]+"/notify/epay", kind, bytes.NewReader(body))
		if err != nil {
			continue
		}
		answer, err = io.ReadAll(io.LimitReader(response.Body, 1<<10))
		_ = response.Body.Close()
		if err == nil {
			return response.StatusCode, answer
		}
	}
	return http.StatusServiceUnavailable, nil
}

// forge posts what a stranger could who saw the true notification.
func (p *postOffice) forge(kind string, body []byte, which int) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return
	}
	forged := body
	switch which {
	case 0: // another value, the old signature
		form.Set("status", form.Get("status")+"1")
		forged = []byte(form.Encode())
	case 1: // no signature
		form.Del("sign")
		forged = []byte(form.Encode())
	case 2: // a parameter twice
		forged = append(slices.Clone(body), "&status=7"...)
	}
	status, answer := p.carry(kind, forged)
	p.mu.Lock()
	defer p.mu.Unlock()
	if status == http.StatusServiceUnavailable {
		return // nobody was there
	}
	p.forged++
	if status == http.StatusOK || strings.Contains(string(answer), "success") {
		p.taken++
	}
}

func (p *postOffice) close() error {
	err := p.server.Close()
	p.forgers.Wait()
	return err
}
