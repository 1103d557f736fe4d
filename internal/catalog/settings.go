package catalog

import (
	"errors"
	"strings"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/settings"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// Why what is secret has to be given again: it would go where it was not meant to.
const (
	otherOrigin = "when the scheme, host or port of base_url changes"
	otherWay    = "when the settings name another proxy or other certificates"
)

// setSettings writes a settings document, or none, into p, with its public part
// beside it, and returns it. What p has already stays as it is sealed if the
// document changes nothing, unless there is a reason why it must be given again;
// the document itself may be one. Then no secret field can be kept.
func (r Rules) setSettings(p *store.Provider, document []byte, again string) (settings.Document, string, error) {
	if document == nil {
		p.Settings, p.SettingsPublic = secret.Text{}, ""
		return settings.Document{}, again, nil
	}
	doc, err := settings.Parse(string(p.Type), document, p.SettingsPublic)
	if err != nil {
		if f, ok := errors.AsType[*settings.FieldError](err); ok {
			return settings.Document{}, again, &store.InvalidError{Field: strings.TrimSuffix("settings."+f.Field, "."), Reason: f.Message}
		}
		return settings.Document{}, again, err
	}
	var bad invalid
	reach := settings.ReachOf(doc.Fields)
	bad.check("settings.proxy", r.checkProxy(reach))
	if again == "" && reach.Redirects(settings.ReachOf(SettingsOf(*p).Fields)) {
		again = otherWay
	}
	if again != "" {
		for _, name := range doc.Kept {
			bad.join(&store.InvalidError{Field: "settings." + name, Reason: "must be given again " + again + ", or be empty to have none"})
		}
	}
	if err := bad.err(); err != nil {
		return settings.Document{}, again, err
	}
	if again != "" || len(doc.Given) > 0 || doc.Public != p.SettingsPublic {
		p.Settings, p.SettingsPublic, p.SettingsKept = doc.Full, doc.Public, store.SetOf(doc.Kept...)
	}
	return doc, again, nil
}

// checkProxy refuses a proxy that could never be dialled.
func (r Rules) checkProxy(reach settings.Reach) error {
	u, err := reach.ProxyURL()
	if err != nil || u == nil || r.CheckHost == nil {
		return err
	}
	if r.CheckHost(u.Hostname()) != nil {
		return errForbiddenHost
	}
	return nil
}

// SettingsOf returns the settings that p has, as far as they are public. Those
// that this version does not know ask nothing of keys; the gateway does not
// serve from them.
func SettingsOf(p store.Provider) settings.Document {
	doc, err := settings.Parse(string(p.Type), []byte(p.SettingsPublic), p.SettingsPublic)
	if err != nil {
		return settings.Document{}
	}
	return doc
}

// checkForm refuses a key that is not what the settings of its provider ask for.
func checkForm(doc settings.Document, field string, key secret.Text) error {
	if doc.Keys.Allows(key) {
		return nil
	}
	return &store.InvalidError{Field: field, Reason: "must be " + doc.Keys.Name + ", which the settings of the provider ask for"}
}

// checkSources refuses keys, n of them, beside settings that have credentials.
func checkSources(doc settings.Document, field string, n int) error {
	if !doc.Credentials || n == 0 {
		return nil
	}
	return &store.InvalidError{Field: field, Reason: "cannot be there beside the credentials in the settings: have one or the other"}
}
