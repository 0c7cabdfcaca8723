package main

import (
	"strings"

	"payrun/internal/sandbox"
)

// sandboxCmd runs the gateway alone.
type sandboxCmd struct {
	Listen     string  `help:"Loopback address." default:"127.0.0.1:8700"`
	Book       string  `help:"File that keeps who was paid; default: memory." placeholder:"FILE"`
	Duplicates string  `help:"What a repeated order number does: refuse, return or pay." enum:"refuse,return,pay" default:"refuse"`
	TimeScale  float64 `help:"Multiplies the gateway's time; 1 is real, in which orders take 10 to 30 minutes." default:"0.001"`
	Seed       int64   `help:"Decides how each order goes."`
}

// Run serves until it is stopped.
func (c *sandboxCmd) Run(a *app) error {
	settings := sandbox.Demo()
	settings.BookPath, settings.Duplicates, settings.TimeScale, settings.Seed = c.Book, sandbox.Duplicates(c.Duplicates), c.TimeScale, c.Seed
	server, err := a.startSandbox(settings, c.Listen)
	if err != nil {
		return usagef("the sandbox cannot start: %w", err)
	}
	const key = sandbox.DefaultKey // public: nothing but a sandbox accepts it
	book := strings.TrimSuffix(server.URL(), sandbox.BasePath) + "/sandbox/book"
	err = a.show(map[string]string{"url": server.URL(), "account": sandbox.DefaultAccount, "key": key, "book": book}, func() {
		a.sayf("The sandbox gateway listens; nothing it pays is real. To use it as if it were live:\n"+
			"  export PAYRUN_GATEWAY_URL=%s PAYRUN_GATEWAY_ACCOUNT=%s PAYRUN_GATEWAY_KEY=%s\nIts own book: %s", server.URL(), sandbox.DefaultAccount, key, book)
	})
	<-a.ctx.Done()
	return err
}
