import dlt
from dlt.destinations.impl.sqlalchemy.type_mapper import MysqlVariantTypeMapper
from sqlalchemy.dialects.mysql import LONGTEXT, VARCHAR

from tap_mixpanel_export.dlt import mixpanel


class Texts(MysqlVariantTypeMapper):
    def db_type_from_text_type(self, column, table):
        # MySQL's TEXT ends at 64 KiB, and cannot be a key.
        own = {"event_id": VARCHAR(64), "properties": LONGTEXT()}
        return own.get(column["name"]) or super().db_type_from_text_type(column, table)


# Its address, `mysql+pymysql://…`, stands in DESTINATION__SQLALCHEMY__CREDENTIALS.
database = dlt.destinations.sqlalchemy(type_mapper=Texts, create_primary_keys=True)
dlt.pipeline("mixpanel", destination=database, dataset_name="mixpanel").run(mixpanel())
