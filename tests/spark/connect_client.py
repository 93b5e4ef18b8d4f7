"""A client of Spark Connect: prints how many events a load has, and why one with a secret fails."""

from __future__ import annotations

import json
import sys

from pyspark.errors import PySparkException
from pyspark.sql.connect.session import SparkSession


def main():
    """Load by the options that stand on the command line, and then with a secret among them."""
    url, options = sys.argv[1], json.loads(sys.argv[2])
    spark = SparkSession.builder.remote(url).getOrCreate()
    reader = spark.read.format("mixpanel_export").options(**options)
    sys.stdout.write(f"{reader.load().count()}\n")
    try:
        reader.option("oauth_token", "not the one that is searched for").load().count()
    except PySparkException as error:
        sys.stdout.write(f"{error}\n")
    spark.stop()


if __name__ == "__main__":
    main()
