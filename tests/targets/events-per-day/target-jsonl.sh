python3 - output/events.jsonl <<'END'
import collections, json, sys

with open(sys.argv[1], encoding="utf-8") as file:
    events = map(json.loads, file)
    day_of = {event["event_id"]: event["timestamp"][:10] for event in events}
for day, count in sorted(collections.Counter(day_of.values()).items()):
    print(day, count)
END
