package main

import (
	"payrun/ledger"
)

// demoPeople are who acts on the sandbox, where nobody else is there to.
type demoPeople struct{ admin, maker, checker ledger.User }

// demoPeople finds them, or makes them in an empty store. Books that people
// keep have other users, and the demo stays away from those.
func (a *app) demoPeople() (demoPeople, error) {
	users, err := a.book.Users(a.ctx)
	if err != nil {
		return demoPeople{}, err
	}
	known := map[string]ledger.User{}
	for _, u := range users {
		known[u.Name] = u
	}
	if _, ok := known["demo-admin"]; len(users) > 0 && !ok {
		return demoPeople{}, usagef("this ledger has people of its own, and the demo does not act for them: use payrun import, batch submit, batch approve and serve, or set PAYRUN_DATA to another folder")
	}
	ensure := func(by ledger.User, name string, role ledger.Role) (ledger.User, error) {
		if u, ok := known[name]; ok {
			return u, nil
		}
		return a.book.AddUser(a.ctx, by, name, role)
	}
	var p demoPeople
	if p.admin, err = ensure(ledger.User{}, "demo-admin", ledger.Admin); err != nil {
		return p, err
	}
	if p.maker, err = ensure(p.admin, "demo-maker", ledger.Maker); err != nil {
		return p, err
	}
	p.checker, err = ensure(p.admin, "demo-checker", ledger.Checker)
	return p, err
}
