package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"payrun/internal/sandbox"
)

// sandboxCmd runs the gateway alone.
type sandboxCmd struct {
	Listen     string  `help:"Loopback address." default:"127.0.0.1:8700"`
	Book       string  `help:"File that keeps who was paid; default: memory." type:"path"`
	Duplicates string  `help:"What a repeated order number does." enum:"refuse,return,pay" default:"refuse"`
	TimeScale  float64 `help:"Multiplies the gateway's time; 1 is real." default:"0.001"`
	Seed       int64   `help:"Decides how each order goes."`
}

// Run serves until it is stopped.
func (c *sandboxCmd) Run(a *app) error {
	settings := sandbox.Demo()
	settings.BookPath, settings.Duplicates, settings.TimeScale, settings.Seed = c.Book, sandbox.Duplicates(c.Duplicates), c.TimeScale, c.Seed
	server, err := sandbox.New(settings)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	a.onClose(func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), 5*time.Second)
		defer cancel()
		return server.Close(ctx)
	})
	if err := server.Start(c.Listen); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	a.sayf("The sandbox gateway listens on %s\n  account %s, key %s\n  its book: %s/sandbox/book", server.URL(),
		sandbox.DefaultAccount, sandbox.DefaultKey, strings.TrimSuffix(server.URL(), sandbox.BasePath))
	<-a.ctx.Done()
	return nil
}
