package authclient

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits that no honest document comes near, as the Python library has them.
const (
	deepestJSON = 1000
	mostDigits  = 4300
)

var (
	errNotBase64URL = errors.New("not canonical base64url, or empty")
	errNotStrict    = errors.New("not a strict JSON object")

	canonical = base64.RawURLEncoding.Strict()
)

// fromBase64URL is the bytes (one at least) behind unpadded base64url (RFC 7515 section 2), spelt in its one canonical
// way.
func fromBase64URL(segment string) ([]byte, error) {
	// Even when strict, encoding/base64 skips line ends.
	if segment == "" || strings.ContainsAny(segment, "\r\n") {
		return nil, errNotBase64URL
	}
	octets, err := canonical.DecodeString(segment)
	if err != nil {
		return nil, errNotBase64URL
	}
	return octets, nil
}

// jsonObject is the JSON object in data, refusing what RFC 8259 leaves open and encoding/json lets pass: duplicate
// members, bytes that are not UTF-8, lone surrogates, numbers out of range. Numbers stay json.Number.
func jsonObject(data []byte) (map[string]any, error) {
	if !utf8.Valid(data) || !json.Valid(data) || hasLoneSurrogate(data) {
		return nil, errNotStrict
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	value, err := nextValue(decoder, 0)
	if err != nil {
		return nil, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, errNotStrict
	}
	return object, nil
}

func nextValue(decoder *json.Decoder, depth int) (any, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		switch {
		case depth == deepestJSON:
			return nil, errNotStrict
		case token == '{':
			return restOfObject(decoder, depth+1)
		default:
			return restOfArray(decoder, depth+1)
		}
	case json.Number:
		return token, checkRange(string(token))
	default:
		return token, nil
	}
}

func restOfObject(decoder *json.Decoder, depth int) (any, error) {
	object := map[string]any{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		name, ok := token.(string)
		if _, isDuplicate := object[name]; !ok || isDuplicate {
			return nil, errNotStrict
		}
		if object[name], err = nextValue(decoder, depth); err != nil {
			return nil, err
		}
	}
	_, err := decoder.Token()
	return object, err
}

func restOfArray(decoder *json.Decoder, depth int) (any, error) {
	array := []any{}
	for decoder.More() {
		value, err := nextValue(decoder, depth)
		if err != nil {
			return nil, err
		}
		array = append(array, value)
	}
	_, err := decoder.Token()
	return array, err
}

func checkRange(number string) error {
	if isWhole(number) {
		if len(strings.TrimPrefix(number, "-")) > mostDigits {
			return errNotStrict
		}
		return nil
	}
	if _, err := strconv.ParseFloat(number, 64); err != nil {
		return errNotStrict
	}
	return nil
}

// isWhole says whether a JSON number is written as an integer; 1.0 and 1e3 are not.
func isWhole(number string) bool { return !strings.ContainsAny(number, ".eE") }

// hasLoneSurrogate looks at the escapes of valid JSON, where a backslash only stands inside a string. encoding/json
// would replace half a pair, and so read two texts as one.
func hasLoneSurrogate(data []byte) bool {
	for at := bytes.IndexByte(data, '\\'); at >= 0 && at < len(data); at++ {
		if data[at] != '\\' {
			continue
		}
		at++
		if data[at] != 'u' {
			continue
		}
		unit := codeUnit(data[at+1:])
		at += 4
		switch {
		case unit < 0xD800 || unit > 0xDFFF:
		case unit > 0xDBFF || !bytes.HasPrefix(data[at+1:], []byte(`\u`)):
			return true
		default:
			if low := codeUnit(data[at+3:]); low < 0xDC00 || low > 0xDFFF {
				return true
			}
			at += 6
		}
	}
	return false
}

// codeUnit reads the four hexadecimal digits that valid JSON has after \u.
func codeUnit(digits []byte) uint64 {
	unit, _ := strconv.ParseUint(string(digits[:4]), 16, 32)
	return unit
}
