package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/ledger"
)

// founded opens a ledger without anybody in it.
func founded(t *testing.T, test func(*testing.T, *ledger.Book)) {
	t.Helper()
	t.Parallel()
	dbtest.Each(t, migrated, func(t *testing.T, db *database.DB) { test(t, ledger.New(db, ledger.Config{})) })
}

func TestTheFirstUserIsAnAdmin(t *testing.T) {
	founded(t, func(t *testing.T, b *ledger.Book) {
		ctx := t.Context()
		for _, role := range []ledger.Role{ledger.Maker, ledger.Checker, ledger.Auditor} {
			if _, err := b.AddUser(ctx, ledger.User{}, "eve", role); !errors.Is(err, ledger.ErrForbidden) {
				t.Errorf("the first user is a %s: %v", role, err)
			}
		}
		ada, err := b.AddUser(ctx, ledger.User{}, "ada", ledger.Admin)
		must(t, err)
		if _, err := b.AddUser(ctx, ledger.User{}, "eve", ledger.Admin); !errors.Is(err, ledger.ErrForbidden) {
			t.Errorf("a second user without anybody's leave: %v", err)
		}
		mia, err := b.AddUser(ctx, ada, "mia", ledger.Maker, ledger.Auditor)
		must(t, err)
		for _, by := range []ledger.User{mia, {ID: 99, Name: "eve"}} {
			if _, err := b.AddUser(ctx, by, "eve", ledger.Checker); !errors.Is(err, ledger.ErrForbidden) {
				t.Errorf("%s added a user: %v", by.Name, err)
			}
		}
		if _, err := b.AddUser(ctx, ada, "mia", ledger.Checker); !errors.Is(err, ledger.ErrConflict) {
			t.Errorf("two people of one name: %v", err)
		}
		users, err := b.Users(ctx)
		must(t, err)
		if len(users) != 2 || users[0].Name != "ada" || users[1].Name != "mia" || !slices.Equal(users[1].Roles, []ledger.Role{ledger.Auditor, ledger.Maker}) {
			t.Errorf("users %+v", users)
		}
	})
}

// Whoever sets up a store first is its admin; of two who try at once, one is.
func TestOnlyOneCanBeFirst(t *testing.T) {
	founded(t, func(t *testing.T, b *ledger.Book) {
		const people = 4
		errs := make([]error, people)
		together(t, people, func(i int) error {
			_, errs[i] = b.AddUser(t.Context(), ledger.User{}, fmt.Sprint("ada", i), ledger.Admin)
			return nil
		})
		first := 0
		for _, err := range errs {
			switch {
			case err == nil:
				first++
			case !errors.Is(err, ledger.ErrForbidden):
				t.Error(err)
			}
		}
		if first != 1 {
			t.Errorf("%d people became the first user", first)
		}
	})
}

func TestRolesAreKeptApart(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		bad := []struct {
			name  string
			roles []ledger.Role
		}{
			{"ada2", []ledger.Role{ledger.Admin, ledger.Checker}}, {"ada2", []ledger.Role{ledger.Maker, ledger.Admin}}, {"none", nil},
			{"twice", []ledger.Role{ledger.Maker, ledger.Maker}}, {"root", []ledger.Role{"root"}}, {"", []ledger.Role{ledger.Maker}},
			{"two words", []ledger.Role{ledger.Maker}}, {"user:ada", []ledger.Role{ledger.Maker}}, {"new\nline", []ledger.Role{ledger.Maker}},
			{"nul\x00", []ledger.Role{ledger.Maker}}, {"del\x7f", []ledger.Role{ledger.Maker}},
			{"two\u00a0words", []ledger.Role{ledger.Maker}}, {"invisible\u200b", []ledger.Role{ledger.Maker}}, {"broken\xff", []ledger.Role{ledger.Maker}},
		}
		for _, tt := range bad {
			if _, err := o.AddUser(t.Context(), o.admin, tt.name, tt.roles...); !errors.Is(err, ledger.ErrInvalid) {
				t.Errorf("user %q with roles %v: %v", tt.name, tt.roles, err)
			}
		}
	})
}

// Every action and who may do it: everybody else is refused, and nothing
// happens.
func TestWhoMayDoWhat(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		auditor, err := o.AddUser(ctx, o.admin, "otto", ledger.Auditor)
		must(t, err)
		people := map[ledger.Role]ledger.User{ledger.Maker: o.maker, ledger.Checker: o.checker, ledger.Admin: o.admin, ledger.Auditor: auditor, "nobody": {Name: "eve"}}
		batch := o.imported("batch", sheet("b", 1)).ID
		actions := []struct {
			name string
			may  []ledger.Role
			do   func(by ledger.User) error
		}{
			{"stage", []ledger.Role{ledger.Maker}, func(by ledger.User) error { _, err := o.Stage(ctx, by, "x", "acct"); return err }},
			{"submit", []ledger.Role{ledger.Maker}, func(by ledger.User) error { return o.Submit(ctx, by, batch) }},
			{"recall", []ledger.Role{ledger.Maker}, func(by ledger.User) error { return o.Recall(ctx, by, batch, "reason") }},
			{"discard", []ledger.Role{ledger.Maker}, func(by ledger.User) error { return o.Discard(ctx, by, batch, "reason") }},
			{"reject", []ledger.Role{ledger.Checker}, func(by ledger.User) error { return o.Reject(ctx, by, batch, "reason") }},
			{"approve", []ledger.Role{ledger.Checker}, func(by ledger.User) error { return o.Approve(ctx, by, batch) }},
			{"allow a repeat", []ledger.Role{ledger.Checker}, func(by ledger.User) error { return o.AllowRepeat(ctx, by, batch, "reason") }},
			{"cancel", []ledger.Role{ledger.Checker}, func(by ledger.User) error { _, err := o.Cancel(ctx, by, batch, "reason"); return err }},
			{"stop", []ledger.Role{ledger.Maker, ledger.Checker, ledger.Admin}, func(by ledger.User) error { return o.PlaceStop(ctx, by, ledger.Everything, "", "reason") }},
			{"lift", []ledger.Role{ledger.Checker}, func(by ledger.User) error { return o.LiftStop(ctx, by, ledger.Everything, "") }},
			{"fund", []ledger.Role{ledger.Admin}, func(by ledger.User) error { return o.Fund(ctx, by, 1, "USD", "reference") }},
			{"add", []ledger.Role{ledger.Admin}, func(by ledger.User) error { _, err := o.AddUser(ctx, by, by.Name+"2", ledger.Maker); return err }},
			{"disable", []ledger.Role{ledger.Admin}, func(by ledger.User) error { return o.DisableUser(ctx, by, "bo") }},
			{"issue", []ledger.Role{ledger.Admin}, func(by ledger.User) error { _, err := o.IssueToken(ctx, by, "charles", time.Hour); return err }},
			{"revoke", []ledger.Role{ledger.Admin}, func(by ledger.User) error { _, err := o.RevokeTokens(ctx, by, "charles"); return err }},
		}
		// Somebody's token exists, or the very first one would be free.
		_, err = o.IssueToken(ctx, o.admin, "ada", time.Hour)
		must(t, err)
		for _, action := range actions {
			for role, by := range people {
				if slices.Contains(action.may, role) || by.Name == "charles" && (action.name == "issue" || action.name == "revoke") {
					continue
				}
				trail, _, err := o.Head(ctx)
				must(t, err)
				if err := action.do(by); !errors.Is(err, ledger.ErrForbidden) {
					t.Errorf("%s by %s: %v", action.name, role, err)
				}
				if after, _, _ := o.Head(ctx); after != trail {
					t.Errorf("%s by %s left a trace as if it had happened", action.name, role)
				}
			}
			for _, role := range action.may {
				if err := action.do(people[role]); errors.Is(err, ledger.ErrForbidden) {
					t.Errorf("%s by %s: %v", action.name, role, err)
				}
			}
		}
		o.sound()
	})
}

func TestATokenIsItsUserUntilItEnds(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		ctx := t.Context()
		issue := func(by ledger.User, name string) string {
			t.Helper()
			token, err := o.IssueToken(ctx, by, name, time.Hour)
			must(t, err)
			return token
		}
		refused := func(name, token string) {
			t.Helper()
			if user, err := o.Authenticate(ctx, token); !errors.Is(err, ledger.ErrToken) || user.ID != 0 {
				t.Errorf("%s: %+v, error %v", name, user, err)
			}
		}
		mia, bo, charles := issue(o.admin, "mia"), issue(o.both, "bo"), issue(o.admin, "charles")
		user, err := o.Authenticate(ctx, mia)
		if err != nil || user.ID != o.maker.ID || user.Name != "mia" || !slices.Equal(user.Roles, o.maker.Roles) {
			t.Errorf("mia's token is %+v, error %v", user, err)
		}
		if !strings.HasPrefix(mia, "payrun_") || len(mia) < 40 || mia == bo {
			t.Errorf("token %q", mia)
		}
		for _, wrong := range []string{"", "payrun_", mia[:len(mia)-1], mia + "x", strings.ToUpper(mia), " " + mia, strings.Repeat("x", 1<<16), "\x00", "\xff"} {
			refused(fmt.Sprintf("%.20q", wrong), wrong)
		}
		for _, column := range []string{"digest"} {
			var stored []string
			must(t, o.db.Select(ctx, &stored, "SELECT "+column+" FROM tokens"))
			for _, s := range stored {
				if strings.Contains(s, mia) || strings.Contains(s, strings.TrimPrefix(mia, "payrun_")) {
					t.Error("the token itself is stored")
				}
				refused("a stored digest", s)
			}
		}

		n, err := o.RevokeTokens(ctx, o.both, "bo")
		if n != 1 || err != nil {
			t.Errorf("revoked %d, error %v", n, err)
		}
		refused("revoked", bo)
		must(t, o.DisableUser(ctx, o.admin, "charles"))
		refused("disabled user", charles)
		if _, err := o.User(ctx, "charles"); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("a disabled user is found: %v", err)
		}
		if _, err := o.IssueToken(ctx, o.admin, "charles", time.Hour); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("a token for a disabled user: %v", err)
		}
		if err := o.DisableUser(ctx, o.admin, "charles"); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("disabled twice: %v", err)
		}
		if err := o.DisableUser(ctx, o.admin, "ada"); !errors.Is(err, ledger.ErrForbidden) {
			t.Errorf("the admin disabled herself: %v", err)
		}
		c.advance(time.Hour - time.Microsecond)
		if _, err := o.Authenticate(ctx, mia); err != nil {
			t.Errorf("in its last microsecond: %v", err)
		}
		c.advance(time.Microsecond)
		refused("expired", mia)
		o.sound()
	})
}

// Only the very first token needs nobody's leave.
func TestTheFirstTokenIsFree(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		if _, err := o.IssueToken(ctx, ledger.User{}, "eve", time.Hour); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("a token for nobody: %v", err)
		}
		token, err := o.IssueToken(ctx, ledger.User{}, "ada", time.Hour)
		must(t, err)
		if user, err := o.Authenticate(ctx, token); err != nil || user.Name != "ada" {
			t.Errorf("%+v, error %v", user, err)
		}
		for _, name := range []string{"ada", "charles", ""} {
			if _, err := o.IssueToken(ctx, ledger.User{}, name, time.Hour); err == nil {
				t.Errorf("a second token for %q without anybody's leave", name)
			}
		}
		if _, err := o.IssueToken(ctx, o.maker, "charles", time.Hour); !errors.Is(err, ledger.ErrForbidden) {
			t.Errorf("a maker made a checker's token: %v", err)
		}
	})
}

// Somebody who was disabled, or lost a role, while a page of theirs was open
// may do nothing with it.
func TestLosingAccessActsAtOnce(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		batch := o.imported("access", sheet("a", 1))
		must(t, o.Submit(ctx, o.maker, batch.ID))
		before := o.checker // as the session remembers him
		must(t, o.DisableUser(ctx, o.admin, "charles"))
		if err := o.Approve(ctx, before, batch.ID); !errors.Is(err, ledger.ErrForbidden) {
			t.Errorf("a disabled checker approved: %v", err)
		}
		if err := o.Approve(ctx, ledger.User{ID: 4711, Name: "eve", Roles: []ledger.Role{ledger.Checker}}, batch.ID); !errors.Is(err, ledger.ErrForbidden) {
			t.Errorf("a checker who does not exist approved: %v", err)
		}
	})
}

func TestTheAuditTrailDoesNotFork(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		const writers, records = 8, 12
		before, _, err := o.Head(t.Context())
		must(t, err)
		var mu sync.Mutex
		wrote := map[string]bool{}
		together(t, writers, func(i int) error {
			for j := range records {
				subject := fmt.Sprintf("report %d of writer %d", j, i)
				if err := o.Note(t.Context(), "user:otto", "report.export", subject, "all rows"); err != nil {
					return err
				}
				mu.Lock()
				wrote[subject] = true
				mu.Unlock()
			}
			return nil
		})
		after, head, err := o.Head(t.Context())
		must(t, err)
		if after-before != writers*records || head == "" {
			t.Errorf("the trail grew from %d to %d", before, after)
		}
		var subjects []string
		must(t, o.db.Select(t.Context(), &subjects, "SELECT subject FROM audit WHERE action = 'report.export'"))
		for _, s := range subjects {
			delete(wrote, s)
		}
		if len(subjects) != writers*records || len(wrote) != 0 {
			t.Errorf("%d records, missing %v", len(subjects), wrote)
		}
		o.sound()
	})
}

// A transaction that fails leaves no record, and the next one follows on.
func TestAFailedActionLeavesTheTrailWhole(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		broken, cancel := context.WithCancel(t.Context())
		cancel()
		if err := o.Note(broken, "user:otto", "x", "", ""); err == nil {
			t.Error("a note on a cancelled context")
		}
		if err := o.Submit(t.Context(), o.maker, 4711); err == nil {
			t.Error("submitted a batch that does not exist")
		}
		must(t, o.Note(t.Context(), "user:otto", "y", "", ""))
		o.sound()
	})
}
