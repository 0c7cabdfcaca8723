package ledger

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"payrun/internal/database"
)

// Role is what a person may do. Nobody approves what they made, whatever
// their roles, and an admin holds no other role.
type Role string

// The roles.
const (
	Maker   Role = "maker"   // imports, submits, recalls and discards batches
	Checker Role = "checker" // approves, rejects, cancels, stops
	Auditor Role = "auditor" // reads everything
	Admin   Role = "admin"   // manages users and books top-ups
)

// User is a person with a name that the audit trail shows.
type User struct {
	ID    int64
	Name  string
	Roles []Role
}

// Is reports whether the user has one of the roles.
func (u User) Is(roles ...Role) bool {
	return slices.ContainsFunc(roles, func(r Role) bool { return slices.Contains(u.Roles, r) })
}

func (u User) must(action string, roles ...Role) error {
	if u.Is(roles...) {
		return nil
	}
	words := make([]string, len(roles))
	for i, r := range roles {
		words[i] = string(r)
	}
	who := u.Name
	if who == "" {
		who = "whoever asks"
	}
	return fmt.Errorf("%w: %s needs the role %s to %s", ErrForbidden, who, strings.Join(words, " or "), action)
}

// authorize checks, in the transaction of the action, that the person still
// has one of the roles: what was taken away meanwhile is gone at once.
func authorize(ctx context.Context, tx *database.Tx, u User, action string, roles ...Role) error {
	if err := u.must(action, roles...); err != nil {
		return err
	}
	var now []Role
	err := tx.Select(ctx, &now, `SELECT r.role FROM users u JOIN user_roles r ON r.user_id = u.id
		WHERE u.id = ? AND u.name = ? AND u.disabled_at = 0`+tx.Dialect.ForShare, u.ID, u.Name)
	if err != nil {
		return err
	}
	return User{Name: u.Name, Roles: now}.must(action, roles...)
}

// Actor is what the audit trail calls the user.
func (u User) Actor() string { return "user:" + u.Name }

// AddUser creates a person. The first user of a store must be an admin and
// needs no one's leave (by is the zero User); after that only an admin adds
// users.
func (b *Book) AddUser(ctx context.Context, by User, name string, roles ...Role) (User, error) {
	if err := checkNewUser(name, roles); err != nil {
		return User{}, err
	}
	user := User{Name: name, Roles: roles}
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		actor, err := b.mayAddUser(ctx, tx, by, roles)
		if err != nil {
			return err
		}
		var now database.Instant
		if user.ID, now, err = stamp(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "INSERT INTO users (id, name, created_at) VALUES (?, ?, ?)", user.ID, name, now); err != nil {
			if database.IsUnique(err) {
				return fmt.Errorf("%w: there is a user %s already", ErrConflict, name)
			}
			return err
		}
		for _, role := range roles {
			if _, err := tx.Exec(ctx, "INSERT INTO user_roles (user_id, role, granted_at) VALUES (?, ?, ?)", user.ID, role, now); err != nil {
				return err
			}
		}
		return audit(ctx, tx, actor, "user.add", "user "+name, fmt.Sprint("roles ", roles))
	})
	if err != nil {
		return User{}, fmt.Errorf("add user: %w", err)
	}
	return user, nil
}

func checkNewUser(name string, roles []Role) error {
	odd := func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == ':' }
	if name == "" || !utf8.ValidString(name) || strings.ContainsFunc(name, odd) {
		return fmt.Errorf("%w: a user name is one word of visible characters without colons", ErrInvalid)
	}
	if len(roles) == 0 {
		return fmt.Errorf("%w: a user needs at least one role", ErrInvalid)
	}
	for i, role := range roles {
		if !slices.Contains([]Role{Maker, Checker, Auditor, Admin}, role) {
			return fmt.Errorf("%w: no role is called %q; there are maker, checker, auditor and admin", ErrInvalid, role)
		}
		if slices.Contains(roles[:i], role) {
			return fmt.Errorf("%w: the role %s is named twice", ErrInvalid, role)
		}
	}
	if slices.Contains(roles, Admin) && len(roles) > 1 {
		return fmt.Errorf("%w: an admin holds no other role", ErrInvalid)
	}
	return nil
}

func (b *Book) mayAddUser(ctx context.Context, tx *database.Tx, by User, roles []Role) (actor string, err error) {
	if err := lockAudit(ctx, tx); err != nil { // so that only one can be the first
		return "", err
	}
	var users int64
	if err := tx.Get(ctx, &users, "SELECT count(*) FROM users"); err != nil {
		return "", err
	}
	if users > 0 {
		return by.Actor(), authorize(ctx, tx, by, "add a user", Admin)
	}
	if !slices.Contains(roles, Admin) {
		return "", fmt.Errorf("%w: the first user must be an admin", ErrForbidden)
	}
	return "system", nil
}

// Fresh reports whether nobody has a token yet: whoever set the store up may
// then add people and issue the first token.
func (b *Book) Fresh(ctx context.Context) (bool, error) {
	var tokens int64
	err := b.db.Get(ctx, &tokens, "SELECT count(*) FROM tokens")
	return tokens == 0, err
}

// DisableUser takes away a person's access at once. Only an admin may.
func (b *Book) DisableUser(ctx context.Context, by User, name string) error {
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		if err := authorize(ctx, tx, by, "disable a user", Admin); err != nil {
			return err
		}
		if by.Name == name {
			return fmt.Errorf("%w: nobody disables themselves", ErrForbidden)
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, "UPDATE users SET disabled_at = ? WHERE name = ? AND disabled_at = 0", now, name)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w: there is no active user %s", ErrNotFound, name)
		}
		return audit(ctx, tx, by.Actor(), "user.disable", "user "+name, "")
	})
	if err != nil {
		return fmt.Errorf("disable user: %w", err)
	}
	return nil
}

// Users lists all people and their roles, disabled ones without any.
func (b *Book) Users(ctx context.Context) ([]User, error) {
	var rows []userRow
	if err := b.db.Select(ctx, &rows, selectUsers+" ORDER BY u.name, r.role"); err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return usersOf(rows), nil
}

const selectUsers = `SELECT u.id, u.name, coalesce(r.role, '') AS role
	FROM users u LEFT JOIN user_roles r ON r.user_id = u.id AND u.disabled_at = 0`

type userRow struct {
	ID   int64
	Name string
	Role Role
}

func usersOf(rows []userRow) []User {
	var users []User
	for _, row := range rows {
		if len(users) == 0 || users[len(users)-1].ID != row.ID {
			users = append(users, User{ID: row.ID, Name: row.Name})
		}
		if last := &users[len(users)-1]; row.Role != "" {
			last.Roles = append(last.Roles, row.Role)
		}
	}
	return users
}

// User finds an active person by name.
func (b *Book) User(ctx context.Context, name string) (User, error) {
	var rows []userRow
	err := b.db.Select(ctx, &rows, selectUsers+" WHERE u.name = ? AND u.disabled_at = 0 ORDER BY r.role", name)
	if err != nil {
		return User{}, fmt.Errorf("find user: %w", err)
	}
	if len(rows) == 0 {
		return User{}, fmt.Errorf("%w: there is no active user %s", ErrNotFound, name)
	}
	return usersOf(rows)[0], nil
}

// tokenPrefix lets people and secret scanners recognise a token.
const tokenPrefix = "payrun_"

// IssueToken makes a secret that proves who uses the command line. Only its
// digest is stored; the token itself is returned once. A user's own name, or
// an admin, may issue it; the zero User stands for whoever set up the store
// and may issue the very first one.
func (b *Book) IssueToken(ctx context.Context, by User, name string, life time.Duration) (string, error) {
	secret := make([]byte, 32)
	rand.Read(secret) // never fails since Go 1.24
	token := tokenPrefix + base64.RawURLEncoding.EncodeToString(secret)
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		actor, err := mayIssueToken(ctx, tx, by, name)
		if err != nil {
			return err
		}
		var owner int64
		if err := tx.Get(ctx, &owner, "SELECT id FROM users WHERE name = ? AND disabled_at = 0", name); err != nil {
			return fmt.Errorf("user %s: %w", name, err)
		}
		number, now, err := stamp(ctx, tx)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO tokens (id, user_id, digest, created_at, expires_at) VALUES (?, ?, ?, ?, ?)",
			number, owner, digest(token), now, now.Add(life))
		if err != nil {
			return err
		}
		return audit(ctx, tx, actor, "token.issue", "user "+name, "until "+now.Add(life).String())
	})
	if err != nil {
		return "", fmt.Errorf("issue token: %w", err)
	}
	return token, nil
}

func mayIssueToken(ctx context.Context, tx *database.Tx, by User, name string) (actor string, err error) {
	if err := lockAudit(ctx, tx); err != nil { // so that only one can be the first
		return "", err
	}
	var tokens int64
	if err := tx.Get(ctx, &tokens, "SELECT count(*) FROM tokens"); err != nil {
		return "", err
	}
	if tokens == 0 && by.ID == 0 {
		return "system", nil
	}
	if by.Name == name && by.ID != 0 {
		return by.Actor(), authorize(ctx, tx, by, "issue a token", Maker, Checker, Auditor, Admin)
	}
	return by.Actor(), authorize(ctx, tx, by, "issue a token for someone else", Admin)
}

// ErrToken: the token is unknown, expired or revoked, or its user disabled.
// It does not say which.
var ErrToken = errors.New("the token is not valid: ask an admin for a new one")

// Authenticate returns the person a token belongs to, or ErrToken.
func (b *Book) Authenticate(ctx context.Context, token string) (User, error) {
	var name string
	now, err := b.db.Now(ctx)
	if err != nil {
		return User{}, err
	}
	err = b.db.Get(ctx, &name, `SELECT u.name FROM tokens t JOIN users u ON u.id = t.user_id
		WHERE t.digest = ? AND t.revoked_at = 0 AND t.expires_at > ? AND u.disabled_at = 0`, digest(token), now)
	if errors.Is(err, ErrNotFound) {
		return User{}, ErrToken
	}
	if err != nil {
		return User{}, fmt.Errorf("authenticate: %w", err)
	}
	return b.User(ctx, name)
}

// RevokeTokens makes every token of the user useless, at once.
func (b *Book) RevokeTokens(ctx context.Context, by User, name string) (int64, error) {
	var revoked int64
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		if by.Name != name {
			if err := authorize(ctx, tx, by, "revoke someone else's tokens", Admin); err != nil {
				return err
			}
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		revoked, err = tx.Exec(ctx, `UPDATE tokens SET revoked_at = ? WHERE revoked_at = 0
			AND user_id = (SELECT id FROM users WHERE name = ?)`, now, name)
		if err != nil {
			return err
		}
		return audit(ctx, tx, by.Actor(), "token.revoke", "user "+name, fmt.Sprint(revoked, " tokens"))
	})
	if err != nil {
		return 0, fmt.Errorf("revoke tokens: %w", err)
	}
	return revoked, nil
}
