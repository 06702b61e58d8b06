package guard

import "strings"

// keyLenMax is how many characters a key has at most.
const keyLenMax = 512

// readKey finds the one key in the values of Authorization and X-API-Key, or says why there is none.
func readKey(authorization, apiKey []string) (string, *refusal) {
	credential, credentials := onlyValue(authorization)
	key, keys := onlyValue(apiKey)
	if credentials > 1 || keys > 1 {
		return "", &ambiguousKey
	}
	bearer := bearerOf(credential)
	if bearer != "" && key != "" {
		return "", &ambiguousKey
	}
	key += bearer
	if key == "" {
		return "", &missingKey
	}
	if len(key) > keyLenMax || strings.ContainsFunc(key, func(r rune) bool { return r < '!' || r > '~' }) {
		return "", &invalidKey
	}
	return key, nil
}

// onlyValue is the value of a header's lines, and how many values there are: commas part them too.
func onlyValue(lines []string) (value string, count int) {
	for _, line := range lines {
		count += 1 + strings.Count(line, ",")
		value = strings.Trim(line, " \t")
	}
	return value, count
}

// bearerOf is what stands behind the scheme Bearer; empty behind another.
func bearerOf(credential string) string {
	scheme, key, _ := strings.Cut(credential, " ")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.TrimLeft(key, " ")
}
