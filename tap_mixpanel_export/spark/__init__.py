"""A source for Spark: windows as partitions, batches as they are; extra `spark`.

Only `source` needs Spark: all that it decides is decided in the other modules.
"""
