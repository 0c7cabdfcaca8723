package main

import (
	"fmt"
	"strings"
	"time"

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

type userView struct {
	Name  string        `json:"name"`
	Roles []ledger.Role `json:"roles"` // none: disabled
}

func viewUser(u ledger.User) userView {
	return userView{u.Name, append([]ledger.Role{}, u.Roles...)}
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
		return a.explainFirst(by, err)
	}
	return a.show(viewUser(user), func() {
		a.sayf("%s is added as %s. Next: payrun user token %s", user.Name, strings.Join(c.Role, ", "), user.Name)
	})
}

// explainFirst says what to do in a store where nobody has a token yet.
func (a *app) explainFirst(by ledger.User, err error) error {
	if by.Name != "" {
		return err
	}
	users, listErr := a.book.Users(a.ctx)
	if listErr != nil {
		return err
	}
	for _, u := range users {
		if u.Is(ledger.Admin) {
			return fmt.Errorf("%w: only an admin adds people: payrun user token %s issues the first token", ledger.ErrForbidden, u.Name)
		}
	}
	return fmt.Errorf("%w: the first person must be an admin: payrun user add NAME --role admin", ledger.ErrForbidden)
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
	return a.show(views(users, viewUser), func() {
		if len(users) == 0 {
			a.sayf("Nobody yet: payrun user add NAME --role admin adds the first person.")
			return
		}
		t := newTable(a.out, "name", "roles")
		for _, u := range users {
			t.row(u.Name, roleWords(u))
		}
		t.flush()
	})
}

func roleWords(u ledger.User) string {
	if len(u.Roles) == 0 {
		return "(disabled)"
	}
	words := make([]string, len(u.Roles))
	for i, r := range u.Roles {
		words[i] = string(r)
	}
	return strings.Join(words, ", ")
}

type userTokenCmd struct {
	Name string        `arg:"" help:"Whose token."`
	Life time.Duration `help:"How long it is valid; 2160h are 90 days." default:"2160h"`
}

// Run issues a token and prints it, once. Only the token goes to standard
// output, so that it can be sent into a file.
func (c *userTokenCmd) Run(a *app) error {
	by, err := a.userUnlessFirst()
	if err != nil {
		return err
	}
	token, err := a.book.IssueToken(a.ctx, by, c.Name, c.Life)
	if err != nil {
		return err
	}
	now, err := a.book.Now(a.ctx)
	if err != nil {
		return err
	}
	until := now.Add(c.Life).Time().In(a.config.Zone)
	return a.show(map[string]string{"user": c.Name, "token": token, "valid_until": instant(now.Add(c.Life))}, func() {
		fmt.Fprintf(a.errOut, "The token of %s, valid for %s and shown only now. Keep it in a file with mode 600 (--token-file) or in PAYRUN_TOKEN:\n", c.Name, lifeWords(c.Life, until))
		fmt.Fprintln(a.out, token)
	})
}

// lifeWords is how long a token lives, and until when.
func lifeWords(life time.Duration, until time.Time) string {
	const day = 24 * time.Hour
	if life < day {
		return fmt.Sprintf("%s, until %s,", life, until.Format("2006-01-02 15:04 MST"))
	}
	return fmt.Sprintf("%s, until %s,", counted(int64(life/day), "day", "days"), until.Format(time.DateOnly))
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
	return a.show(map[string]any{"user": c.Name, "revoked": n}, func() {
		a.sayf("%s of %s revoked.", counted(n, "token", "tokens"), c.Name)
	})
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
