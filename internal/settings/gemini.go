package settings

// TypeGemini is the _type of [Gemini].
const TypeGemini = "gemini"

// Gemini are the settings of a provider that is reached by the Gemini API as it
// is.
type Gemini struct {
	Common
}

func (*Gemini) check([]string) (credentials bool, err error) { return false, nil }

func (*Gemini) keys() KeyForm { return KeyForm{} }

// Headers implements [Fields]: there are none.
func (*Gemini) Headers() map[string]string { return nil }
