-- Takes over what tap-mixpanel (its stream export) has loaded into the table export. Let this tap load first:
-- from its first event on, the table events is complete without these rows.
INSERT INTO events (
    event_id, "timestamp", event_name, distinct_id, insert_id, "time", mp_processing_time_ms,
    properties
)
WITH theirs AS (
    SELECT
        event AS event_name,
        distinct_id,
        -- A project without merged users has no such column: write distinct_id instead.
        coalesce(nullif(mp_reserved_distinct_id_before_identity, ''), distinct_id, '') AS first_id,
        nullif(mp_reserved_insert_id, '') AS insert_id,
        CAST(extract(epoch FROM CAST("time" AS timestamptz)) AS bigint) AS exported_time,
        CASE
            WHEN CAST(mp_processing_time_ms AS varchar) ~ '^[0-9]{1,18}$'
                THEN CAST(mp_processing_time_ms AS bigint)
        END AS processed,
        content(to_json(export)) AS properties
    FROM export
), keyed AS (
    SELECT
        hex_sha256(
            CASE
                WHEN insert_id IS NOT NULL
                    THEN coalesce(event_name, '') || '|' || CAST(exported_time AS varchar)
                        || '|' || first_id || '|' || insert_id
                -- What Mixpanel gave no identity is told by all that it has.
                ELSE 'tap-mixpanel|' || CAST(properties AS varchar)
            END
        ) AS event_id,
        -- The exported time is the project's clock on the wall. 'UTC' in the second line is its
        -- zone: write that of a project from before 2023 ('America/Los_Angeles').
        to_timestamp(exported_time) AT TIME ZONE 'UTC'
            AT TIME ZONE 'UTC'
            AT TIME ZONE 'UTC' AS at_utc,
        theirs.*
    FROM theirs
), latest AS (
    -- An event may be there once for each run that loaded its day: the latest processed is kept.
    SELECT
        keyed.*,
        row_number() OVER (PARTITION BY event_id ORDER BY coalesce(processed, 0) DESC) AS nth
    FROM keyed
)
SELECT
    event_id, at_utc, event_name, distinct_id, insert_id, exported_time, processed, properties
FROM latest
WHERE nth = 1
    AND at_utc < (SELECT coalesce(min("timestamp"), 'infinity') FROM events)
    AND event_id NOT IN (SELECT event_id FROM events);
