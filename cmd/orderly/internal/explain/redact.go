package explain

import (
	"regexp"
	"strings"
	"unicode"
)

// What may be secret in a line that is shown as evidence, each with what stands
// for it. They run in this order: a JAAS value may hold quoted passwords.
var secrets = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`(?i)(sasl[._]jaas[._]config\\*["']?\s*[:=]\s*).*`), `${1}********`},
	{regexp.MustCompile(`(?i)(\w*LoginModule\s+(?:required|requisite|sufficient|optional)\b).*`), `${1} ********`},
	{regexp.MustCompile(`(?i)\b((?:authorization\\*["']?\s*[:=]\s*\\*["']?\s*)?(?:bearer|basic)\s+)[\w+/=.~-]{6,}`), `${1}********`},
	{regexp.MustCompile(`(?i)([\w.-]*(?:passw(?:or)?d|passphrase|pwd|secret|credential|api[_.-]?key|access[_.-]?key|private[_.-]?key|(?:access|auth|bearer|refresh|id|session)[_.-]?token)[\w.-]*\\*["']?\s*(?:=>|[:=])\s*)(?:\\*"[^"]*"|\\*'[^']*'|[^\s,;&}\])]+)`), `${1}********`},
	{regexp.MustCompile(`(\w[\w+.-]*://[^\s/:@]*:)[^\s/]*@`), `${1}********@`},
	{regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----.*`), `********`},
}

// redact masks passwords, tokens and JAAS values.
func redact(text string) string {
	for _, s := range secrets {
		text = s.re.ReplaceAllString(text, s.with)
	}
	return text
}

const (
	evidenceRead  = 4096 // bytes of a line that are looked at for secrets
	evidenceRunes = 300  // shown of it
)

// evidence is a line as it may be shown: without secrets, control characters and
// what is too long.
func evidence(line string) string {
	cut := len(line) > evidenceRead
	if cut {
		line = line[:evidenceRead]
	}
	line = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, line)
	line = strings.TrimSpace(redact(line))
	if r := []rune(line); len(r) > evidenceRunes {
		return string(r[:evidenceRunes]) + "..."
	}
	if cut {
		line += "..."
	}
	return line
}
