package main

import (
	"fmt"
	"strings"
	"time"

	"payrun/internal/money"
	"payrun/ledger"
)

// userCmd manages people.
type userCmd struct {
	Add     userAddCmd     `cmd:"" help:"Add a person (admin; the first one must be an admin)."`
	List    userListCmd    `cmd:"" help:"List people and their roles."`
	Token   userTokenCmd   `cmd:"" help:"Issue a token; it is shown once."`
	Revoke  userRevokeCmd  `cmd:"" help:"Make all tokens of a person useless."`
	Disable userDisableCmd `cmd:"" help:"Take away a person's access (admin)."`
}

type userAddCmd struct {
	Name string   `arg:"" help:"One word, shown in the audit trail."`
	Role []string `required:"" help:"maker, checker, auditor or admin; may be repeated." enum:"maker,checker,auditor,admin"`
}

// Run adds a person. Into an empty store anybody who can open it may put the
// first admin.
func (c *userAddCmd) Run(a *app) error {
	by, err := a.userUnlessFirst()
	if err != nil {
		return err
	}
	roles := make([]ledger.Role, len(c.Role))
	for i, r := range c.Role {
		roles[i] = ledger.Role(r)
	}
	user, err := a.book.AddUser(a.ctx, by, c.Name, roles...)
	if err != nil {
		return err
	}
	return a.show(user, func() {
		a.sayf("%s is added as %s. Next: payrun user token %s", user.Name, strings.Join(c.Role, ", "), user.Name)
	})
}

// userUnlessFirst is the token's owner, or nobody in a store where nobody has
// a token yet.
func (a *app) userUnlessFirst() (ledger.User, error) {
	if err := a.openStore(); err != nil {
		return ledger.User{}, err
	}
	token, err := a.token()
	if err == nil {
		return a.book.Authenticate(a.ctx, token)
	}
	fresh, freshErr := a.book.Fresh(a.ctx)
	if freshErr != nil || fresh {
		return ledger.User{}, freshErr
	}
	return ledger.User{}, err
}

type userListCmd struct{}

// Run lists people.
func (c *userListCmd) Run(a *app) error {
	if err := a.openStore(); err != nil {
		return err
	}
	users, err := a.book.Users(a.ctx)
	if err != nil {
		return err
	}
	return a.show(users, func() {
		t := newTable(a.out, "name", "roles")
		for _, u := range users {
			roles := strings.Trim(fmt.Sprint(u.Roles), "[]")
			if roles == "" {
				roles = "(disabled)"
			}
			t.row(u.Name, roles)
		}
		t.flush()
	})
}

type userTokenCmd struct {
	Name string        `arg:"" help:"Whose token."`
	Life time.Duration `help:"How long it is valid." default:"2160h"`
}

// Run issues a token and prints it, once.
func (c *userTokenCmd) Run(a *app) error {
	by, err := a.userUnlessFirst()
	if err != nil {
		return err
	}
	token, err := a.book.IssueToken(a.ctx, by, c.Name, c.Life)
	if err != nil {
		return err
	}
	return a.show(map[string]string{"user": c.Name, "token": token}, func() {
		fmt.Fprintln(a.errOut, "The token of "+c.Name+", shown only now; keep it in a file with mode 600 or in PAYRUN_TOKEN:")
		fmt.Fprintln(a.out, token)
	})
}

type userRevokeCmd struct {
	Name string `arg:"" help:"Whose tokens."`
}

// Run revokes tokens.
func (c *userRevokeCmd) Run(a *app) error {
	by, err := a.user()
	if err != nil {
		return err
	}
	n, err := a.book.RevokeTokens(a.ctx, by, c.Name)
	if err != nil {
		return err
	}
	return a.show(map[string]any{"user": c.Name, "revoked": n}, func() { a.sayf("%d tokens of %s are revoked.", n, c.Name) })
}

type userDisableCmd struct {
	Name string `arg:"" help:"Who."`
}

// Run disables a person.
func (c *userDisableCmd) Run(a *app) error {
	by, err := a.user()
	if err != nil {
		return err
	}
	if err := a.book.DisableUser(a.ctx, by, c.Name); err != nil {
		return err
	}
	return a.show(map[string]any{"user": c.Name, "disabled": true}, func() { a.sayf("%s is disabled.", c.Name) })
}

// fundsCmd shows and books money.
type fundsCmd struct {
	Show fundsShowCmd `cmd:"" default:"1" help:"Balances in our books and at the gateway."`
	Add  fundsAddCmd  `cmd:"" help:"Book a top-up with its evidence (admin)."`
}

type fundsShowCmd struct{}

// Run shows balances.
func (c *fundsShowCmd) Run(a *app) error {
	if err := a.openStore(); err != nil {
		return err
	}
	ours, err := a.book.Balances(a.ctx)
	if err != nil {
		return err
	}
	theirs, err := a.book.GatewayBalances(a.ctx)
	if err != nil {
		return err
	}
	return a.show(map[string]any{"books": ours, "gateway": theirs}, func() {
		t := newTable(a.out, "currency", "paid in ", "available ", "held ", "paid out ", "fees ", "suspense ")
		for _, b := range ours {
			f := func(m money.Amount) string { return money.Format(m, b.Currency) }
			t.row(b.Currency, f(-b.Funding), f(b.Available), f(b.Held), f(b.Paid), f(b.Fees), f(b.Suspense))
		}
		t.flush()
		for _, g := range theirs {
			a.sayf("  The gateway reported %s at %s.", amount(g.Reported, g.Currency), a.localTime(g.FetchedAt))
		}
	})
}

type fundsAddCmd struct {
	Amount   string `arg:"" help:"Such as 1000.00."`
	Currency string `arg:"" help:"Such as USD."`
	Evidence string `required:"" help:"What proves it, such as a bank reference."`
}

// Run books a top-up.
func (c *fundsAddCmd) Run(a *app) error {
	by, err := a.user()
	if err != nil {
		return err
	}
	sum, err := money.Parse(c.Amount, money.Currency(c.Currency))
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if err := a.book.Fund(a.ctx, by, sum, money.Currency(c.Currency), c.Evidence); err != nil {
		return err
	}
	return a.show(map[string]any{"booked": c.Amount, "currency": c.Currency}, func() { a.sayf("Booked %s %s.", c.Amount, c.Currency) })
}
