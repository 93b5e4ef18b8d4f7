import dlt

from tap_mixpanel_export.dlt import mixpanel

pipeline = dlt.pipeline(
    "mixpanel",
    destination=dlt.destinations.sqlalchemy("sqlite:///mixpanel.sqlite"),
    dataset_name="main",
)
pipeline.run(mixpanel())
