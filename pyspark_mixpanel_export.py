"""Makes `spark.read.format("mixpanel_export")` work without registration.

Spark imports each top-level module whose name begins with `pyspark_`, and takes its
`DefaultSource`.
"""

from tap_mixpanel_export.spark.source import DefaultSource

__all__ = ["DefaultSource"]
