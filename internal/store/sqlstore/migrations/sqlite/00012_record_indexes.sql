-- +goose Up

-- Each record writes to every index, and to a page of its own wherever neighbours
-- are not those that came before: docs/adr/0019. So there is none by token; the ids
-- of tokens are in the index by owner, to be found without the rows, and in that by
-- time for tokens that are gone. Records of one moment are sorted when they are read.
DROP INDEX interceptions_at;
DROP INDEX interceptions_owner;
DROP INDEX interceptions_token;
DROP INDEX interceptions_provider;
DROP INDEX interceptions_model;
CREATE INDEX interceptions_at ON interceptions (at, token_id);
CREATE INDEX interceptions_owner ON interceptions (owner_id, at, token_id);
CREATE INDEX interceptions_provider ON interceptions (provider, at);
CREATE INDEX interceptions_model ON interceptions (model, at);

-- +goose Down
DROP INDEX interceptions_at;
DROP INDEX interceptions_owner;
DROP INDEX interceptions_provider;
DROP INDEX interceptions_model;
CREATE INDEX interceptions_at ON interceptions (at, id);
CREATE INDEX interceptions_owner ON interceptions (owner_id, at, id);
CREATE INDEX interceptions_token ON interceptions (token_id, at, id);
CREATE INDEX interceptions_provider ON interceptions (provider, at, id);
CREATE INDEX interceptions_model ON interceptions (model, at, id);
