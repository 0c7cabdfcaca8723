package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// postgres is a private server, started by scripts/postgres. Its data stand
// on a small file system in memory, which a script can fill.
type postgres struct {
	command  *exec.Cmd
	lifeline io.Closer // scripts/postgres ends when this closes
	address  string
	data     string
	binaries string
	disk     string // mounted folder; "" when this user may not mount
	full     bool
}

const diskSize = "size=1500m,mode=755"

func startPostgres(folder string) (*postgres, error) {
	p := &postgres{}
	disk := filepath.Join(folder, "disk")
	if err := os.Mkdir(disk, 0o755); err != nil {
		return nil, err
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, diskSize); err == nil {
		p.disk = disk
	} else if !errors.Is(err, syscall.EPERM) {
		return nil, fmt.Errorf("mount a disk: %w", err)
	}
	p.command = exec.Command(filepath.Join("scripts", "postgres"))
	p.command.Env = append(os.Environ(), "TMPDIR="+disk)
	p.command.Stderr = os.Stderr
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if p.lifeline, err = p.command.StdinPipe(); err != nil {
		return p, err
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		return p, err
	}
	if err := p.command.Start(); err != nil {
		return p, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return p, fmt.Errorf("scripts/postgres printed no address: %w", err)
	}
	p.address = strings.TrimSpace(line)
	_, socket, _ := strings.Cut(p.address, "host=")
	p.data = filepath.Join(socket, "data")
	pid, err := p.pid()
	if err != nil {
		return p, err
	}
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	p.binaries = filepath.Dir(program)
	return p, err
}

// pid is the server's process number.
func (p *postgres) pid() (int, error) {
	text, err := os.ReadFile(filepath.Join(p.data, "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strconv.Atoi(line)
}

// kill ends the server without a checkpoint: what was committed must come back
// from its log.
func (p *postgres) kill() error {
	pid, err := p.pid()
	if err != nil {
		return nil // it gave up already, over a full disk
	}
	if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// start starts it again, as it was started first.
func (p *postgres) start() error {
	arguments := []string{
		filepath.Join(p.binaries, "pg_ctl"), "-D", p.data, "-l", filepath.Join(filepath.Dir(p.data), "server.log"),
		"-m", "immediate", "-w", "-t", "60", "restart", // only this verb remembers the options
	}
	if os.Getuid() == 0 { // the server refuses to run as root
		arguments = append([]string{"runuser", "-u", "postgres", "--"}, arguments...)
	}
	command := exec.Command(arguments[0], arguments[1:]...)
	command.Dir = "/"
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("start PostgreSQL: %w: %s", err, out)
	}
	return nil
}

// fill takes all room on the disk, until empty gives it back.
func (p *postgres) fill() error {
	p.full = true
	f, err := os.Create(p.ballast())
	if err != nil {
		return err
	}
	block := make([]byte, 1<<20)
	for err == nil {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

func (p *postgres) empty() error {
	p.full = false
	return os.Remove(p.ballast())
}

func (p *postgres) ballast() string { return filepath.Join(p.disk, "ballast") }

// stop ends the server and removes everything it had.
func (p *postgres) stop() error {
	if p == nil {
		return nil
	}
	var err error
	if p.command != nil && p.command.Process != nil {
		err = errors.Join(p.lifeline.Close(), p.command.Wait())
	}
	if p.disk != "" {
		err = errors.Join(err, syscall.Unmount(p.disk, syscall.MNT_DETACH))
	}
	return err
}

func (p *postgres) running() bool {
	pid, err := p.pid()
	return err == nil && syscall.Kill(pid, 0) == nil
}
