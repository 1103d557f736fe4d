package mockupstream

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

const (
	defaultDimensions = 1536
	maxDimensions     = 4096
)

// embeddings answers POST /v1/embeddings with a unit vector for each input,
// the same one for the same input.
func embeddings(c *call) reply {
	if rep, bad := openAIInvalid(c, "input"); bad {
		return rep
	}
	doc := gjson.ParseBytes(c.body)
	input := doc.Get("input")
	// A list of numbers is one input: a text as tokens.
	inputs := []gjson.Result{input}
	if list := input.Array(); input.IsArray() && list[0].Type != gjson.Number {
		inputs = list
	}
	size := int(doc.Get("dimensions").Int())
	if size == 0 {
		size = defaultDimensions
	}
	if size < 1 || size > maxDimensions {
		return openAIError(http.StatusBadRequest, "invalid_request_error", "", "dimensions",
			"Invalid value for 'dimensions': it must be between 1 and "+strconv.Itoa(maxDimensions)+".")
	}
	var tokens int
	b := []byte(`{"object":"list","data":[`)
	for i, input := range inputs {
		if i > 0 {
			b = append(b, ',')
		}
		tokens += tokensOf(input)
		b = fmt.Appendf(b, `{"object":"embedding","index":%d,"embedding":`, i)
		b = appendVector(b, vector(input.Raw, size), doc.Get("encoding_format").String() == "base64")
		b = append(b, '}')
	}
	b = fmt.Appendf(b, `],"model":%s,"usage":{"prompt_tokens":%d,"total_tokens":%d}}`,
		quote(doc.Get("model").String()), tokens, tokens)
	return reply{status: http.StatusOK, body: b, usage: Usage{Input: tokens}}
}

// tokensOf counts an input of embeddings: the words of a text, or the tokens
// of a list.
func tokensOf(input gjson.Result) int {
	if input.IsArray() {
		return len(input.Array())
	}
	return len(strings.Fields(input.String()))
}

// vector returns a unit vector that depends on text alone.
func vector(text string, size int) []float32 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text)) // a hash never fails
	seed := h.Sum64()
	values := make([]float64, size)
	var square float64
	for i := range values {
		seed = seed*6364136223846793005 + 1442695040888963407 // Knuth's MMIX
		values[i] = float64(int64(seed)) / math.MaxInt64
		square += values[i] * values[i]
	}
	unit := make([]float32, size)
	for i, v := range values {
		unit[i] = float32(v / math.Sqrt(square))
	}
	return unit
}

// appendVector adds v as the API does: a list of numbers, or their
// little-endian bytes in base64.
func appendVector(b []byte, v []float32, inBase64 bool) []byte {
	if inBase64 {
		raw := make([]byte, 0, 4*len(v))
		for _, f := range v {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(f))
		}
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, raw)
		return append(b, '"')
	}
	b = append(b, '[')
	for i, f := range v {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendFloat(b, float64(f), 'g', -1, 32)
	}
	return append(b, ']')
}
