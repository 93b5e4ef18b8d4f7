SELECT (timestamp AT TIME ZONE 'UTC')::date AS day, count(DISTINCT event_id) AS events
FROM 'output/parquet/*.parquet'
GROUP BY day
ORDER BY day;
