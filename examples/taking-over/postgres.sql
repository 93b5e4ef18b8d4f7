-- What the recipes need of PostgreSQL: a digest, and a row without what its loader has added.
CREATE OR REPLACE FUNCTION hex_sha256(value text) RETURNS text LANGUAGE sql AS
$$ SELECT encode(sha256(convert_to(value, 'UTF8')), 'hex') $$;
CREATE OR REPLACE FUNCTION content(whole_row json) RETURNS jsonb LANGUAGE sql AS
$$ SELECT whole_row::jsonb - ARRAY[
    '_sdc_extracted_at', '_sdc_received_at', '_sdc_batched_at',
    '_sdc_deleted_at', '_sdc_sequence', '_sdc_table_version',
    '_sdc_sync_started_at', '_airbyte_raw_id', '_airbyte_extracted_at',
    '_airbyte_meta', '_airbyte_generation_id'
] $$;
SET TimeZone = 'UTC';
