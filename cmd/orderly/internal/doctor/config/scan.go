package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

// Options say what to read, and what is known already.
type Options struct {
	Paths      []string  // files, folders, and "-" for In
	In         io.Reader // standard input
	Client     facts.Client
	Version    string
	RecordTime time.Duration
}

// Limits, so that no file can take the memory or the time of the rest.
const (
	maxFile  = 1 << 20 // bytes of a file: configurations are smaller
	maxFiles = 50_000  // files of a folder that are looked at
	maxDepth = 64      // folders in folders
	maxUnits = 5_000
	maxItems = 20_000 // settings of a file
)

type scanner struct {
	opts   Options
	set    *facts.Set
	given  facts.Ver
	hasVer bool
	builds map[string]*build // by folder
	seen   map[string]bool   // real paths
	spring map[string][]springDoc
	looked int
	full   bool
}

// Read reads all of it. What cannot be read is in the set, by name; only an argument
// that is not there at all is an error.
func Read(o Options) (*facts.Set, error) {
	sc := &scanner{opts: o, set: &facts.Set{Has: map[facts.Source]bool{}}, builds: map[string]*build{}, seen: map[string]bool{}, spring: map[string][]springDoc{}}
	sc.set.Asked.RecordTime = o.RecordTime
	if o.Version != "" {
		v, ok := facts.ParseVer(o.Version)
		if !ok {
			return nil, fmt.Errorf("%q is not a version such as 3.6.1", o.Version)
		}
		sc.given, sc.hasVer = v, true
	}
	for _, p := range o.Paths {
		if p == "-" {
			text, err := io.ReadAll(io.LimitReader(o.In, maxFile+1))
			if err != nil {
				return nil, fmt.Errorf("standard input: %w", err)
			}
			sc.text("(standard input)", text, true)
			continue
		}
		st, err := os.Stat(p)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("%s: there is no such file or folder", p)
			}
			return nil, fmt.Errorf("%s: %w", p, errors.Unwrap(err))
		}
		if st.IsDir() {
			sc.dir(p, 0)
		} else {
			sc.file(p, true)
		}
	}
	sc.finishSpring()
	if len(sc.set.Units) > 0 {
		sc.set.Has[facts.Config] = true
	}
	for _, u := range sc.set.Units {
		if len(u.Versions) > 0 {
			sc.set.Has[facts.Version] = true
		}
	}
	sc.set.Looked = sc.looked
	slices.SortStableFunc(sc.set.Skipped, func(a, b facts.Skip) int { return strings.Compare(a.File, b.File) })
	return sc.set, nil
}

func (sc *scanner) skip(path string, line int, why string, args ...any) {
	if len(sc.set.Skipped) < maxUnits {
		sc.set.Skipped = append(sc.set.Skipped, facts.Skip{Place: facts.Place{File: path, Line: line}, Why: fmt.Sprintf(why, args...)})
	}
}

// Folders that hold no configuration of the project itself.
var notOurs = []string{".git", ".hg", ".svn", "node_modules", "vendor", ".idea", ".gradle", "__pycache__", ".venv", "venv", ".tox", ".mvn", "site-packages"}

func (sc *scanner) dir(path string, depth int) {
	real, err := filepath.EvalSymlinks(path)
	switch {
	case err != nil:
		sc.skip(path, 0, "it cannot be opened: a link that leads nowhere, or in a circle")
		return
	case sc.seen[real]:
		return // a link to a folder that was read: also one that leads back
	case depth > maxDepth:
		sc.skip(path, 0, "more than %d folders in each other", maxDepth)
		return
	}
	sc.seen[real] = true
	entries, err := os.ReadDir(path)
	if err != nil {
		sc.skip(path, 0, "it cannot be listed: %v", reason(err))
	}
	for _, e := range entries {
		p := filepath.Join(path, e.Name())
		if sc.full {
			return
		}
		mode := e.Type()
		if mode&fs.ModeSymlink != 0 {
			st, err := os.Stat(p)
			if err != nil {
				sc.skip(p, 0, "a link that leads nowhere, or in a circle")
				continue
			}
			mode = st.Mode().Type()
		}
		switch {
		case mode.IsDir():
			if !slices.Contains(notOurs, e.Name()) {
				sc.dir(p, depth+1)
			}
		case mode.IsRegular():
			if interesting(p) {
				sc.file(p, false)
			}
		}
	}
}

func reason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// file reads one file; named says that the user named it, and not only its folder.
func (sc *scanner) file(path string, named bool) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		sc.skip(path, 0, "a link that leads nowhere, or in a circle")
		return
	}
	if sc.seen[real] {
		return
	}
	sc.seen[real] = true
	if sc.looked++; sc.looked > maxFiles || len(sc.set.Units) > maxUnits {
		sc.full = true
		sc.skip(path, 0, "more than %d files or %d configurations: this one and those behind it were not read; name a smaller folder", maxFiles, maxUnits)
		return
	}
	st, err := os.Stat(path)
	switch {
	case err != nil:
		sc.skip(path, 0, "it cannot be opened: %v", reason(err))
		return
	case !st.Mode().IsRegular():
		sc.skip(path, 0, "not a file (a device, pipe or socket)")
		return
	case st.Size() > maxFile:
		sc.skip(path, 0, "%d bytes: configurations have %d at the most", st.Size(), maxFile)
		return
	}
	text, err := readAll(path)
	if err != nil {
		sc.skip(path, 0, "it cannot be read: %v", reason(err))
		return
	}
	sc.text(path, text, named)
}

func readAll(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1)) // it may have grown
}

// text reads the content of a file.
func (sc *scanner) text(path string, text []byte, named bool) {
	defer func() {
		// The parsers are fuzzed; still no single file may end the rest.
		if r := recover(); r != nil {
			sc.skip(path, 0, "it cannot be read: the parser gave up")
		}
	}()
	switch {
	case len(text) > maxFile:
		sc.skip(path, 0, "more than %d bytes", maxFile)
		return
	case bytes.HasPrefix(text, []byte{0xff, 0xfe}), bytes.HasPrefix(text, []byte{0xfe, 0xff}):
		text = utf16ToUTF8(text)
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	switch {
	case bytes.IndexByte(text, 0) >= 0:
		sc.skip(path, 0, "a binary file")
		return
	case len(bytes.TrimSpace(text)) == 0:
		if named {
			sc.skip(path, 0, "it is empty")
		}
		return
	case !utf8.Valid(text) && filepath.Ext(path) != ".properties": // which are Latin-1 by tradition
		sc.skip(path, 0, "neither UTF-8 nor UTF-16: save it as UTF-8")
		return
	}
	before, marks, hidden := len(sc.set.Units), len(sc.set.Marks), len(sc.set.Hidden)
	why := sc.read(path, text)
	if why != "" && (named || bytes.Contains(bytes.ToLower(text), []byte("kafka"))) {
		sc.skip(path, 0, "%s", why)
		return
	}
	if len(sc.set.Units) > before || len(sc.set.Marks) > marks || len(sc.set.Hidden) > hidden || sc.isSpring(path) {
		sc.set.Files++
	} else if named && why == "" && !isBuild(path) {
		sc.skip(path, 0, "nothing of Kafka that decides about order was found in it")
	}
}

func utf16ToUTF8(b []byte) []byte {
	big := b[0] == 0xfe
	var out []rune
	for i := 2; i+1 < len(b); i += 2 {
		r := rune(b[i]) | rune(b[i+1])<<8
		if big {
			r = rune(b[i])<<8 | rune(b[i+1])
		}
		out = append(out, r)
	}
	return []byte(string(out))
}

// interesting says whether a file of a folder is of a form that is read.
func interesting(path string) bool {
	base := strings.ToLower(filepath.Base(path))
	switch filepath.Ext(base) {
	case ".properties", ".conf", ".yml", ".yaml", ".json", ".env", ".sh", ".py", ".js", ".ts", ".mjs", ".cjs", ".java", ".kt", ".go":
		return !strings.HasSuffix(base, "package-lock.json") && !strings.HasSuffix(base, ".min.js") && !isBuild(path)
	}
	return strings.HasPrefix(base, ".env") || strings.HasPrefix(base, "dockerfile")
}

// read chooses the form by the name and, for standard input, by the content. It
// gives the reason why a file cannot be read.
func (sc *scanner) read(path string, text []byte) (why string) {
	base := strings.ToLower(filepath.Base(path))
	switch filepath.Ext(base) {
	case ".properties", ".conf", ".config", ".cfg":
		return sc.properties(path, text)
	case ".yml", ".yaml":
		return sc.yaml(path, text)
	case ".json":
		return sc.json(path, text)
	case ".env", ".sh", ".bash":
		return sc.shell(path, text)
	case ".go":
		return sc.golang(path, text)
	case ".py":
		return sc.python(path, text)
	case ".js", ".ts", ".mjs", ".cjs":
		return sc.javascript(path, text)
	case ".java", ".kt":
		return sc.java(path, text)
	}
	if strings.HasPrefix(base, ".env") || strings.HasPrefix(base, "dockerfile") {
		return sc.shell(path, text)
	}
	if isBuild(path) {
		return ""
	}
	return sc.guess(path, text)
}

// guess tells the form of a text without a name.
func (sc *scanner) guess(path string, text []byte) string {
	t := bytes.TrimSpace(text)
	line, _, _ := bytes.Cut(t, []byte("\n"))
	has := func(s string) bool { return bytes.Contains(t, []byte(s)) }
	switch {
	case bytes.HasPrefix(t, []byte("{")):
		return sc.json(path, text)
	case bytes.HasPrefix(t, []byte("package ")) && !has(";"):
		return sc.golang(path, text)
	case has("import org.apache.kafka") || has("ProducerConfig.") || has("ConsumerConfig."):
		return sc.java(path, text)
	case has("kafkajs") || has("require("):
		return sc.javascript(path, text)
	case has("import ") && (has("KafkaProducer(") || has("confluent_kafka") || has("AIOKafka")):
		return sc.python(path, text)
	case bytes.HasPrefix(line, []byte("export ")) || bytes.HasPrefix(line, []byte("#!")) || has("docker run") || bytes.HasPrefix(line, []byte("KAFKA_")):
		return sc.shell(path, text)
	case has(": ") || has(":\n"):
		if n := len(sc.set.Units); !has("=") || sc.yaml(path, text) == "" && len(sc.set.Units) > n {
			if len(sc.set.Units) > n {
				return ""
			}
			return sc.yaml(path, text)
		}
	}
	return sc.properties(path, text)
}
