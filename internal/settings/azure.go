package settings

import "regexp"

// TypeAzure is the _type of [Azure].
const TypeAzure = "azure"

// Azure are the settings of a provider that is reached through Azure OpenAI.
type Azure struct {
	// APIVersion is the api-version of requests; "" is the v1 API, which has none.
	APIVersion string
	Common
}

// https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle
var azureVersion = regexp.MustCompile(`^([0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?|preview|latest)$`)

func (a *Azure) fields() []field {
	return append([]field{{name: "api_version", value: &a.APIVersion, max: 32}}, a.Common.fields()...)
}

func (a *Azure) check([]string) (credentials bool, err error) {
	if a.APIVersion != "" && !azureVersion.MatchString(a.APIVersion) {
		err = &FieldError{"api_version", "must be a version of the API, such as 2024-10-21, or be left out for the v1 API"}
	}
	return false, err
}

func (*Azure) keys() KeyForm { return KeyForm{} }

// Headers implements [Fields]: there are none.
func (*Azure) Headers() map[string]string { return nil }
