package settings

// TypeAnthropic is the _type of [Anthropic].
const TypeAnthropic = "anthropic"

// Anthropic are the settings of a provider that is reached by the Anthropic API
// as it is.
type Anthropic struct {
	Common
}

func (*Anthropic) check([]string) (credentials bool, err error) { return false, nil }

func (*Anthropic) keys() KeyForm { return KeyForm{} }

// Headers implements [Fields]: there are none.
func (*Anthropic) Headers() map[string]string { return nil }
