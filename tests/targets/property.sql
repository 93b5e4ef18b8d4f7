SELECT properties::JSON ->> '$."$city"' AS city, count(*) AS events
FROM events
GROUP BY city
ORDER BY city;
