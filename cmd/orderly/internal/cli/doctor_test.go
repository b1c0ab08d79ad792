package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/diagnosis"
)

func inFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const goodProducer = "bootstrap.servers=k:1\nkey.serializer=s\nacks=all\nenable.idempotence=true\n"

func TestDoctorConfigExitCodes(t *testing.T) {
	weak := inFile(t, "producer.properties", "bootstrap.servers=k:1\nkey.serializer=s\nacks=1\n")
	warned := inFile(t, "consumer.properties", "bootstrap.servers=k:1\nkey.deserializer=s\ngroup.id=g\nauto.offset.reset=latest\n")
	good := inFile(t, "producer.properties", goodProducer)
	other := inFile(t, "other.properties", "server.port=1\n")
	for _, c := range []struct {
		args []string
		code int
		out  string
		errs string
	}{
		{[]string{"doctor", "config", weak}, exitViolated, "P15 acks=1", "orderly: 1 error and"},
		{[]string{"doctor", "config", warned}, exitOK, "C06 ", ""},
		{[]string{"doctor", "config", warned, "--fail-on", "warn"}, exitViolated, "C06 ", "orderly: 0 errors and 2 warnings"},
		{[]string{"doctor", "config", good, "--client-version", "3.9.1"}, exitOK, "That is not a proof: see what was not checked, and not seen.", ""},
		{[]string{"doctor", "config", good, "--client-version", "3.9.1", "--fail-on", "warn"}, exitOK, "Not checked: ", ""},
		{[]string{"doctor", "config", other}, exitInconclusive, "nothing was checked", "orderly: Nothing of Kafka was found"},
		{[]string{"doctor", "config"}, exitUsage, "", "needs a file, a folder"},
		{[]string{"doctor", "config", "/nowhere"}, exitUsage, "", "/nowhere: there is no such file or folder"},
		{[]string{"doctor", "config", good, "--client", "kafka"}, exitUsage, "", "--client is \"kafka\": it must be one of java, librdkafka"},
		{[]string{"doctor", "config", good, "--client-version", "new"}, exitUsage, "", "not a version"},
		{[]string{"doctor", "config", good, "--fail-on", "note"}, exitUsage, "", "--fail-on is \"note\""},
		{[]string{"doctor", "config", good, "--record-time", "-1s"}, exitUsage, "", "--record-time is -1s"},
		{[]string{"doctor", "rules", "p02"}, exitOK, "P02  error  Idempotence is switched off silently", ""},
		{[]string{"doctor", "rules"}, exitOK, "L07  error", ""},
		{[]string{"doctor", "rules", "Z99"}, exitUsage, "", "there is no rule \"Z99\""},
		{[]string{"doctor", "rules", "P01", "P02"}, exitUsage, "", "takes one id"},
		{[]string{"doctor", "nothing"}, exitUsage, "", "unknown command \"nothing\""},
	} {
		code, out, errs := call(t.Context(), c.args...)
		if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errs, c.errs) || c.errs == "" && errs != "" {
			t.Errorf("%q: exit %d, want %d; stderr %q, stdout\n%s", c.args, code, c.code, errs, out)
		}
	}
}

func TestDoctorConfigJSON(t *testing.T) {
	weak := inFile(t, "consumer.properties", "bootstrap.servers=k:1\nkey.deserializer=s\ngroup.id=g\nenable.auto.comit=false\nmax.poll.records=1000\n")
	code, out, errs := call(t.Context(), "doctor", "config", weak, "--json", "--client-version", "3.9.1", "--record-time", "1s")
	var r diagnosis.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitViolated {
		t.Fatalf("exit %d, %v, %s\n%s", code, err, errs, out)
	}
	ids := map[string]diagnosis.Finding{}
	for _, f := range r.Findings {
		ids[f.Rule] = f
	}
	c03 := ids["C03"]
	if c03.Severity != "error" || len(c03.Where) != 1 || c03.Where[0].Line != 5 || !strings.Contains(c03.What, "1000 records of 1s take 16m40s") {
		t.Errorf("C03: %+v", c03)
	}
	if x := ids["X07"]; !strings.Contains(x.What, "enable.auto.commit is") || x.Where[0].Line != 4 {
		t.Errorf("X07: %+v", x)
	}
	if r.Format != 1 || r.Verdict != "findings" || r.Errors != 1 || len(r.Units) != 1 || r.Units[0].Versions[0] != "3.9.1" || len(r.Checked) == 0 || len(r.Unseen) == 0 || len(r.Unknown) != 1 {
		t.Errorf("%+v", r)
	}
}

func TestDoctorReadsStandardInput(t *testing.T) {
	var out, errs strings.Builder
	code := Run(t.Context(), "dev", []string{"doctor", "config", "-"}, Streams{In: strings.NewReader("bootstrap.servers=k:1\nkey.serializer=s\nacks=0\n"), Out: &out, Err: &errs})
	if code != exitViolated || !strings.Contains(out.String(), "(standard input):3  acks = 0") {
		t.Errorf("exit %d\n%s\n%s", code, out.String(), errs.String())
	}
}

// What a report says of a finding, in the order in which it is needed.
func TestDoctorText(t *testing.T) {
	weak := inFile(t, "producer.properties", "bootstrap.servers=k:1\nkey.serializer=s\nacks=1\n")
	_, out, _ := call(t.Context(), "doctor", "config", weak, "--client-version", "3.9.1")
	at := 0
	for _, want := range []string{"To mend now", "P02 ", "   what ", "   where ", weak + ":3  acks = 1", "   damage ", "   fix ", "acks=all", "   why ", "   not if ", "   source ", "   prove ",
		"What holds in the end", "enable.idempotence", "silently off: acks is 1", "Checked: ", "Not checked: ", "a cluster: "} {
		i := strings.Index(out[at:], want)
		if i < 0 {
			t.Fatalf("%q is not there, or not behind what comes before it, in\n%s", want, out)
		}
		at += i
	}
}

// The help of the command names every field of its JSON.
func TestDoctorHelpNamesAllFields(t *testing.T) {
	_, out, _ := call(t.Context(), "doctor", "config", "--help")
	for _, typ := range []reflect.Type{reflect.TypeFor[diagnosis.Report](), reflect.TypeFor[diagnosis.Finding](), reflect.TypeFor[diagnosis.Where](),
		reflect.TypeFor[diagnosis.Unit](), reflect.TypeFor[diagnosis.Setting](), reflect.TypeFor[diagnosis.Unseen](), reflect.TypeFor[diagnosis.Skipped](), reflect.TypeFor[diagnosis.Hidden](), reflect.TypeFor[diagnosis.Unknown]()} {
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if !regexp.MustCompile(`\b` + name + `\b`).MatchString(out) {
				t.Errorf("the help does not name %s.%s", typ.Name(), name)
			}
		}
	}
}
