package connect

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/magiconair/properties"
)

// readFile reads a file of settings. The names in it are ours, those of
// librdkafka or those of the Java client; Java's become ours here. Problems
// never quote the file: it may hold a password.
func readFile(path string) (map[string]Value, []string) {
	text, err := readText(path)
	if err != nil {
		return nil, []string{"config file " + err.Error()}
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // some editors write it
	var raw map[string]string
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".properties", ".conf", ".config":
		raw, err = parseProperties(text)
	case ".yaml", ".yml":
		raw, err = parseYAML(text)
	default:
		err = fmt.Errorf("it ends with %q: name it .properties or .yaml, so that its format is known", ext)
	}
	if err != nil {
		return nil, []string{fmt.Sprintf("config file %s: %v", path, err)}
	}
	return translate(path, text, raw)
}

func parseProperties(text []byte) (map[string]string, error) {
	// Without expansion: Java has none, and a password may well have "${" in it.
	l := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
	p, err := l.LoadBytes(text)
	if err != nil {
		return nil, errors.New("not a .properties file: after a backslash there is u without four hexadecimal digits; write \\\\ for a backslash")
	}
	return p.Map(), nil
}

func parseYAML(text []byte) (map[string]string, error) {
	var doc any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		// The library's messages quote what they found.
		where := ""
		var ye yaml.Error
		if errors.As(err, &ye) && ye.GetToken() != nil && ye.GetToken().Position != nil {
			where = fmt.Sprintf(" at line %d, column %d", ye.GetToken().Position.Line, ye.GetToken().Position.Column)
		}
		return nil, fmt.Errorf("not valid YAML%s; put values with special characters in 'single quotes'", where)
	}
	out := map[string]string{}
	if doc == nil {
		return out, nil
	}
	top, ok := doc.(map[string]any)
	if !ok {
		return nil, errors.New("a list or a single value; lines \"name: value\" are asked for")
	}
	return out, flatten(text, "", top, out)
}

// flatten makes one name of nested ones, so that "sasl: {mechanism: PLAIN}" is
// "sasl.mechanism: PLAIN".
func flatten(text []byte, prefix string, m map[string]any, out map[string]string) error {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		name := prefix + k
		if _, twice := out[name]; twice {
			return fmt.Errorf("%s is there twice, nested and with dots", naming(text, name))
		}
		switch v := m[k].(type) {
		case map[string]any:
			if err := flatten(text, name+".", v, out); err != nil {
				return err
			}
		case []any:
			var list []string
			for _, e := range v {
				s, ok := scalar(e)
				if !ok {
					return fmt.Errorf("%s is a list of something else than text", naming(text, name))
				}
				list = append(list, s)
			}
			out[name] = strings.Join(list, ",")
		default:
			s, ok := scalar(v)
			if !ok {
				return fmt.Errorf("%s has a value that is not text; put it in 'single quotes'", naming(text, name))
			}
			out[name] = s
		}
	}
	return nil
}

// scalar refuses what YAML has changed: a password of 0123 would be 83.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	}
	return "", false
}

// javaOnly are names of the Java client that say the same as ours.
const (
	javaTrustStore, javaTrustType, javaTrustPassword = "ssl.truststore.location", "ssl.truststore.type", "ssl.truststore.password"
	javaKeyStore, javaKeyType, javaKeyStorePassword  = "ssl.keystore.location", "ssl.keystore.type", "ssl.keystore.password"
	javaJAAS                                         = "sasl.jaas.config"
	javaHostCheck                                    = "ssl.endpoint.identification.algorithm"
	rdMechanisms                                     = "sasl.mechanisms" // librdkafka's older name
)

// unsupported are names that people have in their files, with the way out.
var unsupported = map[string]string{
	javaTrustPassword:                "PEM files have none; remove it",
	javaKeyStorePassword:             "PEM files have none; remove it",
	"ssl.key.password":               "encrypted private keys are not supported: decrypt it (openssl pkey -in key.pem -out plain.pem) into a file that only you can read",
	"ssl.truststore.certificates":    "put the certificates into a file and name it in " + CA,
	"ssl.keystore.certificate.chain": "put the chain into a file and name it in " + Certificate,
	"ssl.keystore.key":               "put the key into a file and name it in " + PrivateKey,
	"sasl.kerberos.service.name":     "Kerberos is not supported; PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 are",
	"enable.auto.commit":             "only what is done is committed, by orderly itself; remove it",
	"acks":                           "it is always all; remove it",
	"enable.idempotence":             "it is always on; remove it",
}

// translate gives settings their own names, and names what is not one.
func translate(path string, file []byte, raw map[string]string) (map[string]Value, []string) {
	out := map[string]Value{}
	var problems []string
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Sprintf("config file %s: ", path)+fmt.Sprintf(format, args...))
	}
	put := func(name, text, from string) {
		if _, twice := out[name]; twice {
			bad("%s says the same as another setting there; keep one of them", from)
			return
		}
		origin := "file " + path
		if from != name {
			origin += " (" + from + ")"
		}
		if !find(name).secret { // what is around a password is a part of it
			text = strings.TrimSpace(text)
		}
		out[name] = Value{text, origin}
	}
	pem := func(store, kind string) bool {
		if strings.EqualFold(raw[kind], "PEM") {
			return true
		}
		bad("%s: only PEM files are supported: convert it (keytool -importkeystore ... -deststoretype PKCS12, then openssl pkcs12) and set %s=PEM", store, kind)
		return false
	}
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		text := raw[name]
		switch name {
		case javaTrustStore:
			if pem(name, javaTrustType) {
				put(CA, text, name)
			}
		case javaKeyStore: // holds both
			if pem(name, javaKeyType) {
				put(Certificate, text, name)
				put(PrivateKey, text, name)
			}
		case javaTrustType, javaKeyType:
			store := strings.TrimSuffix(name, "type") + "location"
			if _, ok := raw[store]; !ok {
				bad("%s is set without %s: remove it, or name the file", name, store)
			}
		case rdMechanisms:
			put(SASLMechanism, text, name)
		case javaJAAS:
			user, password, problem := parseJAAS(text)
			if problem != "" {
				bad("%s: %s", name, problem)
				continue
			}
			put(SASLUsername, user, name)
			put(SASLPassword, password, name)
		case javaHostCheck:
			if !strings.EqualFold(strings.TrimSpace(text), "https") {
				bad("%s: only https is supported: without the check any certificate of the authority passes for the broker; remove it, and use certificates with the brokers' names", name)
			}
		default:
			if find(name) != nil {
				put(name, text, name)
			} else if why, ok := unsupported[name]; ok {
				bad("property %q is not supported: %s", name, why)
			} else {
				bad("unknown property %s: orderly has no such connection setting; remove it, or keep it in another file (\"orderly config --help\" lists those that there are)", naming(file, name))
			}
		}
	}
	return out, problems
}

// plainName is what names of properties look like. Nothing else is quoted: a line
// that was broken in the wrong place, or a file that is not one of settings, makes
// a name of a password.
var plainName = regexp.MustCompile(`^[a-z]+([._-][a-z]+)+$`)

// naming names a setting of a file, by its line where the name itself is not to be
// told.
func naming(file []byte, name string) string {
	if find(name) != nil || plainName.MatchString(name) {
		return strconv.Quote(name)
	}
	const around = " \t\f\r{-'\"?"
	name = strings.TrimLeft(name, around)
	for i, line := range bytes.Split(file, []byte("\n")) {
		if name != "" && begins(bytes.TrimLeft(line, around), name) {
			return fmt.Sprintf("in line %d", i+1)
		}
	}
	return "in the file"
}

// begins reports that a line begins with the name of a setting, or with the last
// part of it. In a name of a .properties file backslashes are written twice.
func begins(line []byte, name string) bool {
	for {
		if bytes.HasPrefix(line, []byte(name)) || bytes.HasPrefix(bytes.ReplaceAll(line, []byte(`\`), nil), []byte(name)) {
			return true
		}
		_, rest, ok := strings.Cut(name, ".")
		if !ok || rest == "" {
			return false
		}
		name = rest
	}
}
