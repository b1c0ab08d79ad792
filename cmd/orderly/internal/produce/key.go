package produce

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// keyOf makes a record's key of a JSON value. Equal values give equal bytes:
// 1, 1.0 and 10e-1 are one key.
func keyOf(raw []byte) ([]byte, error) {
	switch raw[0] {
	case '"':
		s, err := textOf(raw)
		if err == nil && s == "" {
			err = errors.New("it is empty: all such records would be one key")
		}
		return []byte(s), err
	case 't', 'f':
		return raw, nil
	case 'n':
		return nil, errors.New("it is null, and a record without a key has no order")
	case '{', '[':
		return nil, errors.New("it is an object or a list; name a field in it")
	}
	return canonical(raw)
}

// textOf is the text of a JSON string. Halves of characters (\ud800 alone) would
// all become the same replacement character, and different keys one.
func textOf(raw []byte) (string, error) {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", err
	}
	if halved(raw) {
		return "", errors.New("it has half of a character (a \\ud800 to \\udfff without its other half)")
	}
	return s, nil
}

// halved reports an escape of half of a character whose other half does not follow.
// The text is valid JSON.
func halved(raw []byte) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		r := escaped(raw[i:])
		if !utf16.IsSurrogate(r) {
			i++ // what follows is no beginning of an escape
			continue
		}
		if utf16.DecodeRune(r, escaped(raw[i+6:])) == utf8.RuneError {
			return true
		}
		i += 11
	}
	return false
}

// escaped is the number of an escape \uXXXX; -1 of anything else.
func escaped(raw []byte) rune {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(raw[2:6]), 16, 32)
	if err != nil {
		return -1
	}
	return rune(n)
}

// plainDigits is how long a number may get when its exponent is written out.
const plainDigits = 40

// canonical writes a JSON number in one way: no exponent as long as it is not
// long, no zeros that do not count.
func canonical(raw []byte) ([]byte, error) {
	text, neg := strings.CutPrefix(string(raw), "-")
	mant, expText, _ := strings.Cut(strings.ToLower(text), "e")
	exp := 0
	if expText != "" {
		var err error
		if exp, err = strconv.Atoi(expText); err != nil || exp > 1<<30 || exp < -1<<30 {
			return nil, fmt.Errorf("the number's exponent %s is out of range", expText)
		}
	}
	whole, frac, _ := strings.Cut(mant, ".")
	digits := strings.TrimLeft(whole+frac, "0")
	exp -= len(frac)
	short := strings.TrimRight(digits, "0")
	exp += len(digits) - len(short)
	if short == "" {
		return []byte("0"), nil // -0 too
	}
	point := len(short) + exp // digits before the point
	var out string
	switch {
	case exp == 0 || exp > 0 && point <= plainDigits:
		out = short + strings.Repeat("0", exp)
	case exp < 0 && point > 0:
		out = short[:point] + "." + short[point:]
	case exp < 0 && -exp <= plainDigits:
		out = "0." + strings.Repeat("0", -point) + short
	default:
		out = short + "e" + strconv.Itoa(exp)
	}
	if neg {
		out = "-" + out
	}
	return []byte(out), nil
}
