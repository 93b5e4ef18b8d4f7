python3 - output/events-*.csv <<'END'
import collections, csv, sys

csv.field_size_limit(2**31 - 1)  # an event may have properties longer than Python's 128 KiB
day_of = {}
for name in sys.argv[1:]:
    with open(name, encoding="utf-8", newline="") as file:
        for event in csv.DictReader(file):
            day_of[event["event_id"]] = event["timestamp"][:10]
for day, count in sorted(collections.Counter(day_of.values()).items()):
    print(day, count)
END
