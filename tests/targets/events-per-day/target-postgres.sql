SELECT timestamp::date AS day, count(*) AS events
FROM mixpanel.events
GROUP BY day
ORDER BY day;
