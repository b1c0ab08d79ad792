package connect

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// A Value is the effective value of a setting.
type Value struct {
	Text   string
	Origin string // "flag --brokers", "env ORDERLY_BROKERS", "file x.yaml", "default"; "" when it is not set
}

// Settings are the effective settings.
type Settings struct {
	values map[string]Value
	// Local is the folder of the embedded broker, when that is used.
	Local Value
	// Notes are what a user should read although nothing is wrong.
	Notes []string
}

// Get returns the text of a setting; "" when it is not set.
func (s *Settings) Get(name string) string { return s.values[name].Text }

// BrokerList returns the brokers.
func (s *Settings) BrokerList() []string {
	var list []string
	for _, b := range strings.Split(s.Get(Brokers), ",") {
		if b = strings.TrimSpace(b); b != "" {
			list = append(list, b)
		}
	}
	return list
}

// Resolve gathers the settings from the flags, the environment, the file and
// the defaults. All problems come in one Error.
func (f *Flags) Resolve() (*Settings, error) { return f.resolve(processEnvironment()) }

func (f *Flags) resolve(env environment) (*Settings, error) {
	r := resolver{flags: f, env: env, s: &Settings{values: map[string]Value{}}}
	file, name := r.file()
	for _, s := range settings {
		if v, ok := r.one(s, file, name); ok {
			r.s.values[s.name] = v
		}
	}
	r.password()
	if dir := r.either(localFlag, localEnv); dir.Origin != "" {
		if dir.Text == "" {
			r.bad("%s is empty: name a folder", dir.Origin)
		}
		r.s.Local = dir
	}
	for _, name := range unknownEnv(env.all) {
		r.s.Notes = append(r.s.Notes, fmt.Sprintf("environment variable %s is not a setting of orderly and has no effect; \"orderly config --help\" lists those that are", name))
	}
	r.check()
	if len(r.problems) > 0 {
		return nil, &Error{Problems: r.problems}
	}
	return r.s, nil
}

type resolver struct {
	flags    *Flags
	env      environment
	s        *Settings
	problems []string
}

func (r *resolver) bad(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

// either reads one of the settings that name a file or folder.
func (r *resolver) either(flag, env string) Value {
	if v, ok := r.flags.given(flag); ok {
		return Value{v, "flag --" + flag}
	}
	if v, ok := r.env.lookup(env); ok {
		return Value{v, "env " + env}
	}
	return Value{}
}

// file reads the file of --config.
func (r *resolver) file() (values map[string]Value, name string) {
	at := r.either(configFlag, configEnv)
	if at.Origin == "" {
		return nil, ""
	}
	values, problems := readFile(at.Text)
	r.problems = append(r.problems, problems...)
	return values, at.Text
}

func (r *resolver) one(s setting, file map[string]Value, name string) (Value, bool) {
	v := Value{s.def, "default"}
	if given, ok := r.flags.given(s.flag); ok && s.flag != "" {
		v = Value{given, "flag --" + s.flag}
	} else if given, ok := r.env.lookup(s.env); ok {
		v = Value{given, "env " + s.env}
	} else if given, ok := file[s.name]; ok {
		v = Value{given.Text, given.Origin}
	} else if s.def == "" {
		return Value{}, false
	}
	if strings.TrimSpace(v.Text) == "" {
		r.bad("%s (%s) is empty: give it a value, or leave it out", s.name, v.Origin)
		return Value{}, false
	}
	return v, true
}

// password reads the file with the password, which goes before all other places
// when it comes from a flag, and else after the environment.
func (r *resolver) password() {
	at := r.either(passwordFlag, passwordEnv)
	if at.Origin == "" {
		return
	}
	if have := r.s.values[SASLPassword]; strings.HasPrefix(have.Origin, "env ") {
		if strings.HasPrefix(at.Origin, "env ") {
			r.bad("both %s and %s are set: keep one of them", "ORDERLY_SASL_PASSWORD", passwordEnv)
			return
		}
	}
	text, err := readText(at.Text)
	if err != nil {
		r.bad("password file (%s): %v", at.Origin, err)
		return
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" {
		r.bad("password file %s (%s) is empty: it holds the password, and nothing else", at.Text, at.Origin)
		return
	}
	r.s.values[SASLPassword] = Value{secret, "file " + at.Text + " (" + at.Origin + ")"}
}

// readText reads a file; its error names the file and what is wrong with it.
func readText(path string) ([]byte, error) {
	if path == "" {
		return nil, errors.New("no file is named")
	}
	text, err := os.ReadFile(path)
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	switch {
	case err == nil:
		return text, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s is not there", path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s may not be read by this user", path)
	}
	return nil, fmt.Errorf("%s cannot be read: %w", path, err)
}
