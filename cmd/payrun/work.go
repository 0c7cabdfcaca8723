package main

// workCmd is one of any number of processes that share a PostgreSQL.
type workCmd struct {
	Listen string `help:"Also take notifications and answer /healthz, /readyz and /metrics here; without it nothing listens." placeholder:"ADDRESS"`
}

// Run works until it is told to stop; then nothing new is sent, and what is
// under way is recorded. A worker needs no setting of its own: it makes its
// name itself, and the database hands out payouts, send slots and due jobs.
func (c *workCmd) Run(a *app) error {
	if err := a.loadConfig(); err != nil {
		return err
	}
	if a.config.Gateway.Sandbox() { // it lives inside one process
		return usagef("payrun work shares the gateway with other processes: set gateway.url; payrun sandbox runs one to try it with")
	}
	return a.work("working", c.Listen)
}
