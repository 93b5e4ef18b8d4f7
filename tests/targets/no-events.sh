#!/bin/sh
# Fails when the runs told of in report/ have found no event of yesterday (UTC).
exec python3 - report/runs/*.json <<'END'
import datetime, json, sys

yesterday = str(datetime.datetime.now(datetime.timezone.utc).date() - datetime.timedelta(days=1))
events = 0
for name in sys.argv[1:]:
    with open(name, encoding="utf-8") as file:
        events += json.load(file)["eventsPerDay"].get(yesterday, 0)
if not events:
    sys.exit(f"no event of {yesterday} has come out of Mixpanel")
END
