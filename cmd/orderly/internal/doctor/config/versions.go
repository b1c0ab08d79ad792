package config

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

// A build is what the files of a project say about the versions of its clients.
type build struct {
	versions map[facts.Client][]facts.Ver
	from     map[facts.Client]string
	uses     []facts.Client // that are named at all
	parent   string         // the version of Spring Boot, which modules below may go by
	parentAt string
}

var buildFiles = []string{"pom.xml", "build.gradle", "build.gradle.kts", "go.mod", "package.json", "requirements.txt", "pyproject.toml", "setup.py", "Pipfile"}

func isBuild(path string) bool {
	base := filepath.Base(path)
	return slices.Contains(buildFiles, base) || strings.HasPrefix(base, "requirements") && strings.HasSuffix(base, ".txt")
}

// buildOf looks beside a file, and in the folders above it up to the top of the
// project.
func (sc *scanner) buildOf(file string) *build {
	if strings.HasPrefix(file, "(") {
		return &build{}
	}
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return &build{}
	}
	if b := sc.builds[dir]; b != nil {
		return b
	}
	answer := &build{}
	defer func(dir string) { sc.builds[dir] = answer }(dir)
	for range 10 {
		if b := sc.builds[dir]; b != nil && !answer.needsBoot() {
			answer = b
			return answer
		}
		switch b := readBuild(dir); {
		case answer.needsBoot() && b.parent != "":
			answer.boot(b.parentAt, b.parent)
			return answer
		case answer.needsBoot():
		case b.needsBoot():
			answer = b // a module, whose parent above may have the version
		case len(b.uses) > 0:
			answer = b
			return answer
		}
		if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil || filepath.Dir(dir) == dir {
			break
		}
		dir = filepath.Dir(dir)
	}
	return answer
}

// needsBoot says that the Java client is used, and its version comes from elsewhere.
func (b *build) needsBoot() bool {
	return len(b.uses) == 1 && b.uses[0] == facts.Java && len(b.versions[facts.Java]) == 0
}

// version gives a unit its client, where a project uses only one, and its version.
func (sc *scanner) version(u *facts.Unit, s source) {
	if u.Kind == facts.Broker || u.Kind == facts.Topic || u.Kind == facts.Group {
		if sc.hasVer && sc.opts.Client == "" {
			u.Versions, u.VersionOf = []facts.Ver{sc.given}, "--client-version"
		}
		return
	}
	b := sc.buildOf(s.file)
	if u.Client == facts.Unknown {
		switch {
		case sc.opts.Client != facts.Unknown:
			u.Client = sc.opts.Client
		case len(b.uses) == 1:
			u.Client = b.uses[0]
		}
	}
	if u.Kind == facts.Worker || u.Kind == facts.Connector {
		return // the version is the worker's own
	}
	switch {
	case sc.hasVer && (sc.opts.Client == facts.Unknown || sc.opts.Client == u.Client):
		u.Versions, u.VersionOf = []facts.Ver{sc.given}, "--client-version"
	case len(b.versions[u.Client]) > 0:
		u.Versions, u.VersionOf = b.versions[u.Client], b.from[u.Client]
	}
}

func readBuild(dir string) *build {
	b := &build{versions: map[facts.Client][]facts.Ver{}, from: map[facts.Client]string{}}
	names := slices.Clone(buildFiles)
	if more, err := filepath.Glob(filepath.Join(globEscape(dir), "requirements*.txt")); err == nil {
		for _, m := range more {
			if !slices.Contains(names, filepath.Base(m)) && len(names) < 30 {
				names = append(names, filepath.Base(m))
			}
		}
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		told := path // as the user would write it
		if wd, err := os.Getwd(); err == nil {
			if rel, err := filepath.Rel(wd, path); err == nil && strings.Count(rel, "..") < 4 {
				told = rel
			}
		}
		st, err := os.Stat(path)
		if err != nil || !st.Mode().IsRegular() || st.Size() > maxFile {
			continue
		}
		text, err := readAll(path)
		if err != nil || len(text) > maxFile {
			continue
		}
		switch {
		case name == "pom.xml":
			b.pom(told, text)
		case strings.HasPrefix(name, "build.gradle"):
			b.gradle(told, text)
		case name == "go.mod":
			b.gomod(told, text)
		case name == "package.json":
			b.node(told, text)
		default:
			b.python(told, text)
		}
	}
	return b
}

func globEscape(s string) string {
	return regexp.MustCompile(`[\[\]*?\\]`).ReplaceAllString(s, `\$0`)
}

func (b *build) use(c facts.Client, from, version string) {
	if !slices.Contains(b.uses, c) {
		b.uses = append(b.uses, c)
	}
	if v, ok := facts.ParseVer(version); ok && !strings.ContainsAny(version, "<>,|*$[(xX") {
		b.set(c, from, v)
	}
}

func (b *build) set(c facts.Client, from string, vs ...facts.Ver) {
	b.versions[c], b.from[c] = vs, from
}

// boot are the versions of kafka-clients that Spring Boot brings, by its first two
// numbers. Where patches differ for a rule, both are named.
var boot = map[string][]string{
	"2.0": {"1.0.2"}, "2.1": {"2.0.1"}, "2.2": {"2.3.1"}, "2.3": {"2.5.1"}, "2.4": {"2.6.3"}, "2.5": {"2.7.2"}, "2.6": {"3.0.0", "3.0.2"}, "2.7": {"3.1.2"},
	"3.0": {"3.3.2"}, "3.1": {"3.4.1"}, "3.2": {"3.6.2"}, "3.3": {"3.7.2"}, "3.4": {"3.8.1"}, "3.5": {"3.9.1"}, "4.0": {"4.1.1"},
}

const newestBoot = "4.0"

func (b *build) boot(path, version string) {
	if !slices.Contains(b.uses, facts.Java) {
		b.uses = append(b.uses, facts.Java)
	}
	if len(b.versions[facts.Java]) > 0 {
		return // a direct dependency wins
	}
	v, ok := facts.ParseVer(version)
	if !ok {
		return
	}
	patches := boot[strings.Join(strings.SplitN(v.String(), ".", 3)[:2], ".")]
	if patches == nil && !v.Before(newestBoot) {
		patches = boot[newestBoot] // newer than this table: at least that
	}
	var vs []facts.Ver
	for _, t := range patches {
		w, _ := facts.ParseVer(t)
		vs = append(vs, w)
	}
	if len(vs) > 0 {
		b.set(facts.Java, path+" (Spring Boot "+version+")", vs...)
	}
}

// pom reads the few elements of a pom.xml that matter.
func (b *build) pom(path string, text []byte) {
	type artifact struct{ id, version string }
	props := map[string]string{}
	var stack []string
	var cur artifact
	var bootVersion string
	var kafka []artifact
	d := xml.NewDecoder(bytes.NewReader(text))
	d.Strict = false
	for {
		tok, err := d.Token()
		if err != nil {
			if err != io.EOF {
				break
			}
			break
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if len(stack) > 100 {
				return
			}
			stack = append(stack, t.Name.Local)
			if t.Name.Local == "dependency" || t.Name.Local == "parent" {
				cur = artifact{}
			}
		case xml.CharData:
			text := strings.TrimSpace(string(t))
			if text == "" || len(stack) < 2 {
				continue
			}
			switch in, name := stack[len(stack)-2], stack[len(stack)-1]; {
			case in == "properties":
				props[name] = text
			case in == "dependency" || in == "parent":
				switch name {
				case "artifactId":
					cur.id = text
				case "version":
					cur.version = text
				}
			}
		case xml.EndElement:
			if len(stack) > 0 {
				stack = stack[:len(stack)-1]
			}
			if t.Name.Local == "dependency" || t.Name.Local == "parent" {
				switch {
				case strings.HasPrefix(cur.id, "spring-boot-") && cur.version != "":
					bootVersion = cur.version
				case cur.id == "kafka-clients" || cur.id == "spring-kafka" || strings.Contains(cur.id, "stream-binder-kafka") || strings.Contains(cur.id, "integration-kafka") || strings.Contains(cur.id, "stream-kafka") || strings.Contains(cur.id, "boot-starter-kafka") || strings.Contains(cur.id, "spring-boot-kafka") || strings.HasPrefix(cur.id, "kafka-streams") || strings.Contains(cur.id, "quarkus-kafka") || strings.Contains(cur.id, "messaging-kafka"):
					kafka = append(kafka, cur)
				}
			}
		}
	}
	resolve := func(v string) string {
		if name, ok := strings.CutPrefix(v, "${"); ok {
			return props[strings.TrimSuffix(name, "}")]
		}
		return v
	}
	for _, a := range kafka {
		if a.id == "kafka-clients" || a.id == "kafka-streams" {
			b.use(facts.Java, path, resolve(a.version))
		} else {
			b.use(facts.Java, path, "")
		}
	}
	if v := props["kafka.version"]; v != "" && len(b.versions[facts.Java]) == 0 {
		b.use(facts.Java, path, v)
	}
	if v := resolve(bootVersion); v != "" {
		b.parent, b.parentAt = v, path
	}
	if bootVersion != "" && len(kafka) > 0 {
		b.boot(path, resolve(bootVersion))
	}
}

var (
	gradleKafka = regexp.MustCompile(`org\.apache\.kafka:kafka-(?:clients|streams):([0-9][0-9A-Za-z.\-]*)`)
	gradleAny   = regexp.MustCompile(`spring-kafka|kafka-clients|binder-kafka|quarkus-kafka|integration-kafka|stream-kafka|starter-kafka`)
	gradleBoot  = regexp.MustCompile(`org\.springframework\.boot['")]+\s*\)?\s*version\s*\(?\s*['"]([0-9][^'"]*)['"]|spring-boot-(?:dependencies|gradle-plugin):([0-9][0-9A-Za-z.\-]*)`)
)

func (b *build) gradle(path string, text []byte) {
	if m := gradleKafka.FindSubmatch(text); m != nil {
		b.use(facts.Java, path, string(m[1]))
	} else if gradleAny.Match(text) {
		b.use(facts.Java, path, "")
	}
	if m := gradleBoot.FindSubmatch(text); m != nil {
		b.parent, b.parentAt = string(m[1])+string(m[2]), path
		if len(b.uses) > 0 {
			b.boot(path, b.parent)
		}
	}
}

var goModules = []struct {
	path   string
	client facts.Client
}{
	{"github.com/IBM/sarama", facts.Sarama}, {"github.com/Shopify/sarama", facts.Sarama}, {"github.com/twmb/franz-go", facts.FranzGo},
	{"github.com/segmentio/kafka-go", facts.KafkaGo}, {"github.com/confluentinc/confluent-kafka-go", facts.Librdkafka},
	{"gopkg.in/confluentinc/confluent-kafka-go.v1", facts.Librdkafka}, {"gopkg.in/Shopify/sarama.v1", facts.Sarama},
}

func (b *build) gomod(path string, text []byte) {
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(f) < 2 || strings.Contains(line, "=>") {
			continue
		}
		for _, m := range goModules {
			if f[0] == m.path || strings.HasPrefix(f[0], m.path+"/v") && !strings.Contains(f[0][len(m.path)+1:], "/") {
				b.use(m.client, path, f[1])
			}
		}
	}
}

func (b *build) node(path string, text []byte) {
	var p struct {
		Dependencies    map[string]string `json:"dependencies"`
		DevDependencies map[string]string `json:"devDependencies"`
	}
	if json.Unmarshal(text, &p) != nil {
		return
	}
	for _, deps := range []map[string]string{p.Dependencies, p.DevDependencies} {
		if v, ok := deps["kafkajs"]; ok {
			b.use(facts.KafkaJS, path, v)
		}
		for _, name := range []string{"node-rdkafka", "@confluentinc/kafka-javascript"} { // numbers of their own
			if _, ok := deps[name]; ok {
				b.use(facts.Librdkafka, path, "")
			}
		}
	}
}

var pythonDep = regexp.MustCompile(`(?im)(?:^|["'\s])(kafka-python|aiokafka|confluent[-_]kafka)(?:\[[a-z,]*\])?["']?\s*(?:([=~^]=?=?|=)\s*["']?[~^=]*([0-9][0-9.]*))?`)

func (b *build) python(path string, text []byte) {
	for _, m := range pythonDep.FindAllSubmatch(text, 50) {
		client := map[string]facts.Client{"kafka-python": facts.KafkaPython, "aiokafka": facts.AIOKafka, "confluent-kafka": facts.Librdkafka}[strings.ReplaceAll(strings.ToLower(string(m[1])), "_", "-")]
		b.use(client, path, string(m[3]))
	}
}
