package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gatehousehq/gatehouse/internal/catalog"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// A DeletedProviderPath is the deleted provider that a route is about. Its name
// may be another's by now.
type DeletedProviderPath struct {
	Provider string `path:"provider" maxLength:"63" doc:"The id of the deleted provider."`
}

// id returns the id, and for what is none says where there are some.
func (p DeletedProviderPath) id() (string, error) {
	if !isID(p.Provider) {
		return "", problem{Status: http.StatusNotFound, Detail: "a deleted provider is found by its id, not by its name; GET " + providersPath + "?include_deleted=true lists them"}
	}
	return p.Provider, nil
}

func (a *api) registerDeletedProviders() {
	register(a, huma.Operation{
		OperationID: "restore-provider", Method: http.MethodPost, Path: providersPath + "/{provider}/restore", Tags: []string{"Providers"},
		Summary: "Restore a deleted provider", Description: "It comes back disabled, without keys and settings. It is a conflict if it is not deleted, or if another provider has its name by now.",
		Errors: []int{404, 409, 412},
	}, a.restoreProvider)
	register(a, huma.Operation{
		OperationID: "purge-provider", Method: http.MethodPost, Path: providersPath + "/{provider}/purge", Tags: []string{"Providers"},
		Summary: "Remove a deleted provider for good", Description: "Its row goes; what the audit log has about it stays. It is a conflict if it is not deleted.",
		DefaultStatus: http.StatusNoContent, Errors: []int{404, 409, 412},
	}, a.purgeProvider)
}

type deletedProviderInput struct {
	DeletedProviderPath
	Precondition
}

func (a *api) restoreProvider(ctx context.Context, who store.Actor, in *deletedProviderInput) (*providerOutput, error) {
	var rec providerRecord
	err := a.changeDeleted(ctx, who, in, func(tx store.Tx, id string, revision int64) error {
		p, err := catalog.Restore(ctx, tx, id, revision)
		if err != nil {
			return err
		}
		rec, err = readProvider(ctx, tx, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &providerOutput{ETag: etag(rec.Revision), Body: a.provider(rec)}, nil
}

func (a *api) purgeProvider(ctx context.Context, who store.Actor, in *deletedProviderInput) (*struct{}, error) {
	return nil, a.changeDeleted(ctx, who, in, func(tx store.Tx, id string, revision int64) error {
		return catalog.Purge(ctx, tx, id, revision)
	})
}

// changeDeleted runs a change of the provider that in names.
func (a *api) changeDeleted(ctx context.Context, who store.Actor, in *deletedProviderInput, change func(tx store.Tx, id string, revision int64) error) error {
	id, err := in.id()
	if err != nil {
		return err
	}
	revision, err := in.revision()
	if err != nil {
		return err
	}
	err = a.DB.Update(ctx, who, func(tx store.Tx) error { return change(tx, id, revision) })
	return a.withCurrent(ctx, who, id, err)
}
