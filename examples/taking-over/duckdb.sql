-- What the recipes need of DuckDB: a digest, and a row without what its loader has added.
CREATE OR REPLACE MACRO hex_sha256(value) AS sha256(value);
CREATE OR REPLACE MACRO content(whole_row) AS json_merge_patch(whole_row, '{
    "_sdc_extracted_at": null, "_sdc_received_at": null, "_sdc_batched_at": null,
    "_sdc_deleted_at": null, "_sdc_sequence": null, "_sdc_table_version": null,
    "_sdc_sync_started_at": null, "_airbyte_raw_id": null, "_airbyte_extracted_at": null,
    "_airbyte_meta": null, "_airbyte_generation_id": null
}');
SET TimeZone = 'UTC';
