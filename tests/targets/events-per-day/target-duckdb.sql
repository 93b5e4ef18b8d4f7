SELECT timestamp::date AS day, count(*) AS events
FROM events
GROUP BY day
ORDER BY day;
