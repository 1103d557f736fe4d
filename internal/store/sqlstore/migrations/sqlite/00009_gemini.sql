-- +goose Up

-- Another type of provider. The check cannot be changed where it is, and a table
-- that keys refer to is not to be replaced: they would go with it. A column can be
-- put in another's place. Its default is for the rows that there are.
ALTER TABLE ai_providers ADD COLUMN any_type TEXT NOT NULL DEFAULT 'openai' CHECK (any_type IN ('openai', 'anthropic', 'gemini'));
UPDATE ai_providers SET any_type = type;
ALTER TABLE ai_providers DROP COLUMN type;
ALTER TABLE ai_providers RENAME COLUMN any_type TO type;

-- +goose Down
ALTER TABLE ai_providers ADD COLUMN old_type TEXT NOT NULL DEFAULT 'openai' CHECK (old_type IN ('openai', 'anthropic'));
UPDATE ai_providers SET old_type = type;
ALTER TABLE ai_providers DROP COLUMN type;
ALTER TABLE ai_providers RENAME COLUMN old_type TO type;
