package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

// courier sends callbacks, a fixed number at a time, from a queue without a
// bound: a merchant that answers slowly must not hold up the orders.
type courier struct {
	client *http.Client
	ctx    context.Context // ends with the courier and aborts tries under way
	cancel context.CancelFunc

	mu     sync.Mutex
	ready  *sync.Cond // queue or closed changed
	queue  []func()
	closed bool
}

func newCourier(config CallbackConfig) *courier {
	ctx, cancel := context.WithCancel(context.Background())
	c := &courier{ctx: ctx, cancel: cancel}
	c.ready = sync.NewCond(&c.mu)
	transport := config.Transport
	if transport == nil {
		transport = loopbackTransport(config.Workers)
	}
	c.client = &http.Client{
		Transport:     transport,
		Timeout:       config.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// loopbackTransport connects to loopback addresses only, whatever a host name
// resolves to, and never through a proxy.
func loopbackTransport(workers int) http.RoundTripper {
	dialer := &net.Dialer{
		Timeout: 5 * time.Second,
		Control: func(_, address string, _ syscall.RawConn) error {
			host, _, err := net.SplitHostPort(address)
			if err != nil || !net.ParseIP(host).IsLoopback() {
				return fmt.Errorf("%s: %w", address, ErrNotLoopback)
			}
			return nil
		},
	}
	return &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: workers, IdleConnTimeout: time.Minute}
}

// checkNotifyURL refuses addresses that are not this machine: a sandbox never
// calls out.
func checkNotifyURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return fmt.Errorf("notifyUrl: %w", err)
	}
	local := u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()
	if u.Scheme != "http" && u.Scheme != "https" || !local {
		return fmt.Errorf("notifyUrl: %w", ErrNotLoopback)
	}
	return nil
}

func (c *courier) push(job func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, job)
	c.ready.Signal()
}

// work does jobs until the courier closes; what is left then stays undone.
func (c *courier) work() {
	for {
		job, ok := c.next()
		if !ok {
			return
		}
		job()
	}
}

func (c *courier) next() (func(), bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) == 0 && !c.closed {
		c.ready.Wait()
	}
	if c.closed {
		return nil, false
	}
	job := c.queue[0]
	c.queue[0] = nil
	c.queue = c.queue[1:]
	return job, true
}

func (c *courier) close() {
	c.cancel()
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.ready.Broadcast()
	c.client.CloseIdleConnections()
}

// post makes one try. It succeeded if the answer is HTTP 200 with the body
// "success", spaces around it aside; status is 0 where no answer came.
func (c *courier) post(target string, form fields) (status int, err error) {
	request, err := http.NewRequestWithContext(c.ctx, http.MethodPost, target, strings.NewReader(form.form()))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := c.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	switch {
	case err != nil:
		return response.StatusCode, err
	case response.StatusCode != http.StatusOK:
		return response.StatusCode, errors.New("answered with another status than 200")
	case strings.TrimSpace(string(body)) != "success":
		return response.StatusCode, errors.New("answered with something else than success")
	}
	return response.StatusCode, nil
}
