package settings

// TypeOpenAI is the _type of [OpenAI].
const TypeOpenAI = "openai"

// OpenAI are the settings of a provider that is reached by the OpenAI API as it
// is. What it names is billed, so a client cannot choose it.
type OpenAI struct {
	Organization string // sent as OpenAI-Organization
	Project      string // sent as OpenAI-Project
	Common
}

func (o *OpenAI) fields() []field {
	own := []field{{name: "organization", value: &o.Organization, max: 256}, {name: "project", value: &o.Project, max: 256}}
	return append(own, o.Common.fields()...)
}

func (*OpenAI) check([]string) (credentials bool, err error) { return false, nil }

func (*OpenAI) keys() KeyForm { return KeyForm{} }

// Headers implements [Fields].
func (o *OpenAI) Headers() map[string]string {
	h := map[string]string{}
	if o.Organization != "" {
		h["Openai-Organization"] = o.Organization
	}
	if o.Project != "" {
		h["Openai-Project"] = o.Project
	}
	return h
}
