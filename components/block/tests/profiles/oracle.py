"""What pyarrow and DuckDB find in tables of profiles: schema, and a sum for each column. One JSON object for a file."""

import json
import sys

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

SAMPLES = "Samples.list.element."
ANNOTATIONS = "Annotations.list.element."


def number(value):
    return int.from_bytes(value, "big") if isinstance(value, bytes) else value


def arrow_column(table, name):
    """Values of a leaf, lists taken apart, nulls left out."""
    values = pq.ParquetFile(table).read(columns=[name]).column(0).combine_chunks()
    if pa.types.is_list(values.type):
        values = values.flatten()
    if pa.types.is_struct(values.type):
        values = values.field(0)
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.int64())
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    return [value for value in values.to_pylist() if value is not None]


def with_arrow(path):
    schema = pq.ParquetFile(path).schema
    found = {"rows": str(pq.ParquetFile(path).metadata.num_rows)}
    for i in range(len(schema)):
        name = schema.column(i).path
        if ".Labels." in name or name.startswith("Comments."):
            continue
        values = arrow_column(path, name)
        if name.startswith(ANNOTATIONS):
            found[name] = "".join(values)
        else:
            found[name] = f"{len(values)} {sum(number(value) for value in values)}"
    return found


def with_duckdb(path, columns):
    table = f"read_parquet('{path}', hive_partitioning = false)"
    found = {"rows": str(duckdb.sql(f"select count(*) from {table}").fetchall()[0][0])}
    for name in columns:
        if name == "rows":
            continue
        source, column = table, f'"{name}"'
        if "." in name:
            group, leaf = name.split(".")[0], name.split(".")[-1]
            source, column = f'(select unnest("{group}") as one from {table})', f'one."{leaf}"'
        if name.startswith(ANNOTATIONS):
            query = f"select coalesce(string_agg({column}, ''), '') from {source}"
            found[name] = duckdb.sql(query).fetchall()[0][0]
        elif name == "TimeNanos":
            query = f"select count({column}), sum(epoch_ns({column})::hugeint) from {source}"
            found[name] = "{} {}".format(*duckdb.sql(query).fetchall()[0])
        elif name == "ID" or name.endswith("TraceID"):
            query = f"select {column} from {source} where {column} is not null"
            values = [row[0] for row in duckdb.sql(query).fetchall()]
            total = sum(value.int if name == "ID" else number(bytes(value)) for value in values)
            found[name] = f"{len(values)} {total}"
        else:
            query = f"select count({column}), coalesce(sum({column}), 0)::hugeint from {source}"
            found[name] = "{} {}".format(*duckdb.sql(query).fetchall()[0])
    return found


for path in sys.argv[1:]:
    arrow = with_arrow(path)
    # Upstream gives numbers a length, which means nothing.
    columns = "* exclude (file_name, type_length)"
    schema = duckdb.sql(f"select {columns} from parquet_schema('{path}')").fetchall()
    print(
        json.dumps(
            {
                "pyarrow": arrow,
                "duckdb": with_duckdb(path, arrow),
                "schema": [str(pq.ParquetFile(path).schema).split("\n", 1)[1], "\n".join(map(str, schema))],
            }
        )
    )
