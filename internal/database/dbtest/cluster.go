package dbtest

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"
)

// Cluster is a PostgreSQL server of a test's own, for what cannot be done to
// the one that all tests share: losing it, or taking it over.
type Cluster struct {
	t      testing.TB
	folder string
}

// NewCluster starts a server with the given settings, such as "fsync=off". It
// is gone when the test ends.
func NewCluster(t testing.TB, settings ...string) *Cluster {
	t.Helper()
	if _, err := server(); err != nil { // it installs what is missing
		t.Fatalf("a test needs PostgreSQL: %v", err)
	}
	c := emptyCluster(t)
	c.run("initdb", "-D", c.data(), "-U", "payrun", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
	c.Start(settings...)
	return c
}

func emptyCluster(t testing.TB) *Cluster {
	t.Helper()
	folder, err := os.MkdirTemp("", "payrun-cluster") // short, for the socket's sake
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{t, folder}
	t.Cleanup(func() {
		_ = c.command("pg_ctl", "-D", c.data(), "-m", "immediate", "stop").Run()
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	if os.Getuid() == 0 { // the server refuses to run as root
		owner, err := user.Lookup("postgres")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(owner.Uid)
		if err := os.Chown(folder, uid, -1); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *Cluster) data() string { return filepath.Join(c.folder, "data") }

// Start starts the server, also one that was stopped or killed.
func (c *Cluster) Start(settings ...string) {
	c.t.Helper()
	options := "-k " + c.folder + " -c listen_addresses=''"
	for _, s := range settings {
		options += " -c " + s
	}
	c.run("pg_ctl", "-D", c.data(), "-l", filepath.Join(c.folder, "log"), "-w", "-t", "60", "-o", options, "start")
}

// Kill ends the server as a power cut would.
func (c *Cluster) Kill() {
	c.t.Helper()
	c.run("pg_ctl", "-D", c.data(), "-m", "immediate", "-w", "stop")
}

// Standby makes a copy that follows the server.
func (c *Cluster) Standby() *Cluster {
	c.t.Helper()
	s := emptyCluster(c.t)
	s.run("pg_basebackup", "-h", c.folder, "-U", "payrun", "-D", s.data(), "-R", "-c", "fast", "--no-sync")
	s.Start()
	return s
}

// Promote lets a standby take over.
func (c *Cluster) Promote() {
	c.t.Helper()
	c.run("pg_ctl", "-D", c.data(), "-w", "-t", "60", "promote")
}

// URL returns the address of a database of the server.
func (c *Cluster) URL(database string) string {
	return (&url.URL{Scheme: "postgres", User: url.User("payrun"), Path: "/" + database, RawQuery: url.Values{"host": {c.folder}}.Encode()}).String()
}

// Restore restores a dump of a database into a new one here, and returns its
// address.
func (c *Cluster) Restore(from string) string {
	c.t.Helper()
	dump := filepath.Join(c.folder, "dump")
	c.run("pg_dump", "--format=custom", "--file="+dump, from)
	execute(c.t, c.URL("postgres"), "CREATE DATABASE restored")
	c.run("pg_restore", "--exit-on-error", "--dbname="+c.URL("restored"), dump)
	return c.URL("restored")
}

func (c *Cluster) run(program string, args ...string) {
	c.t.Helper()
	command := c.command(program, args...)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if program == "pg_ctl" { // the server it starts would keep a pipe open
		command.Stdout, command.Stderr = nil, nil
	}
	if err := command.Run(); err != nil {
		log, _ := os.ReadFile(filepath.Join(c.folder, "log"))
		c.t.Fatalf("%v: %v\n%s%s", command.Args, err, output.Bytes(), log)
	}
}

func (c *Cluster) command(program string, args ...string) *exec.Cmd {
	command := exec.Command(c.binary(program), args...)
	if os.Getuid() == 0 {
		command = exec.Command("runuser", append([]string{"-u", "postgres", "--", c.binary(program)}, args...)...)
	}
	command.Dir = "/"
	return command
}

// binary finds a program of the server, which few systems have in their path.
func (c *Cluster) binary(program string) string {
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/", "/usr/local/opt/postgresql*/bin/", "/opt/homebrew/opt/postgresql*/bin/"} {
		if found, _ := filepath.Glob(pattern + program); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	return program
}

// Copy makes a copy of a database within its server, as an administrator does
// in one command. Nobody may be connected to it.
func Copy(t testing.TB, address string) string {
	t.Helper()
	location, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	name := freshName()
	admin := named(address, "postgres")
	execute(t, admin, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s", name, location.Path[1:]))
	t.Cleanup(func() { execute(t, admin, "DROP DATABASE "+name+" WITH (FORCE)") })
	return named(address, name)
}
