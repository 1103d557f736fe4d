-- +goose Up

-- Another type of provider.
ALTER TYPE ai_provider_type ADD VALUE 'gemini';

-- +goose Down
-- A value cannot be taken out of a type. This fails as long as a provider has it.
ALTER TYPE ai_provider_type RENAME TO ai_provider_type_with_gemini;
CREATE TYPE ai_provider_type AS ENUM ('openai', 'anthropic');
ALTER TABLE ai_providers ALTER COLUMN type TYPE ai_provider_type USING type::TEXT::ai_provider_type;
DROP TYPE ai_provider_type_with_gemini;
