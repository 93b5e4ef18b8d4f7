import dlt

from tap_mixpanel_export.dlt import mixpanel

source = mixpanel()
source.events.apply_hints(
    table_format="delta",
    write_disposition={"disposition": "merge", "strategy": "upsert"},
)
lake = dlt.destinations.filesystem("lake")
dlt.pipeline("mixpanel", destination=lake, dataset_name="raw").run(source)
