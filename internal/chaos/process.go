package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// process is a program that runs, its words in a log file.
type process struct {
	name    string
	log     string // file
	command *exec.Cmd
	killed  bool          // by us
	ended   chan struct{} // closed when it is gone
	err     error         // how it ended; read after ended
}

// start runs a program in a process group of its own, so that Ctrl-C reaches
// only us, and so that it dies with us.
func (in *installation) start(name string, environment []string, program string, arguments ...string) (*process, error) {
	path := filepath.Join(in.folder, name+".log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &process{name: name, log: path, command: exec.Command(program, arguments...), ended: make(chan struct{})}
	p.command.Env, p.command.Dir = environment, in.folder
	p.command.Stdout, p.command.Stderr = log, log
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.command.Wait()
		close(p.ended)
	}()
	return p, nil
}

// lastWords is the last line of a process's log.
func (p *process) lastWords() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

// running reports whether the process is there, stopped or not.
func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

func (p *process) signal(s syscall.Signal) {
	if p.running() {
		_ = p.command.Process.Signal(s) // it may end meanwhile
	}
}

// kill ends it as a power cut would.
func (p *process) kill() {
	if p.running() {
		p.killed = true
		p.signal(syscall.SIGKILL)
		<-p.ended
	}
}

// finish asks it to stop and returns an error unless it does, in peace.
func (p *process) finish(patience time.Duration) error {
	if !p.running() {
		return nil
	}
	p.signal(syscall.SIGCONT)
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		if p.err != nil {
			return fmt.Errorf("%s: %w: %s", p.name, p.err, p.lastWords())
		}
		return nil
	case <-time.After(patience):
		p.kill()
		return errors.New(p.name + " does not stop when it is told to")
	}
}
