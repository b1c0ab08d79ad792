package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// A machine is what the numbers were measured on, and with.
type machine struct {
	Time     time.Time `json:"time"`
	CPU      string    `json:"cpu"`
	Cores    int       `json:"cores"`
	OS       string    `json:"os"`
	Go       string    `json:"go"`
	Client   string    `json:"franz_go"`
	Broker   string    `json:"broker"`
	GOGC     string    `json:"gogc"`
	Revision string    `json:"revision,omitempty"`
}

func thisMachine(brokers []string) machine {
	m := machine{
		Time: time.Now().UTC().Truncate(time.Second), CPU: cpuModel(), Cores: runtime.GOMAXPROCS(0),
		OS: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), GOGC: "100",
		Broker: "at " + strings.Join(brokers, ","),
	}
	if v := os.Getenv("GOGC"); v != "" {
		m.GOGC = v
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return m
	}
	for _, d := range info.Deps {
		switch d.Path {
		case "github.com/twmb/franz-go":
			m.Client = d.Version
		case "github.com/twmb/franz-go/pkg/kfake":
			if len(brokers) == 0 {
				m.Broker = "embedded, kfake " + d.Version
			}
		}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			m.Revision = s.Value
		}
	}
	return m
}

func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown CPU"
	}
	_, after, ok := bytes.Cut(info, []byte("model name"))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	if _, name, found := bytes.Cut(line, []byte(":")); ok && found {
		return string(bytes.TrimSpace(name))
	}
	return "unknown CPU"
}

func (m machine) String() string {
	return fmt.Sprintf("%s, %d cores, %s; %s, GOGC %s; franz-go %s; broker %s; %s",
		m.CPU, m.Cores, m.OS, m.Go, m.GOGC, m.Client, m.Broker, m.Time.Format(time.DateTime+" MST"))
}
