//! Charts of the object store and of what becomes of blocks.

use super::{Row, one, several};

pub(super) fn object_store() -> Row {
    Row {
        title: "Object store",
        panels: vec![
            one(
                "Operations",
                "ops",
                "sum by (operation) (rate(objstore_bucket_operations_total{$$}[$__rate_interval]))",
                "{{operation}}",
                "",
            ),
            one(
                "Failures",
                "ops",
                "sum by (operation) (rate(objstore_bucket_operation_failures_total{$$}[$__rate_interval]))",
                "{{operation}}",
                "The logs have the store's answers.",
            ),
            one(
                "Time",
                "s",
                "histogram_quantile(0.99, sum by (operation, le) (rate(objstore_bucket_operation_duration_seconds_bucket{$$}[$__rate_interval])))",
                "{{operation}}",
                "99 % took less, tries that were repeated included.",
            ),
        ],
    }
}

pub(super) fn uploads() -> Row {
    Row {
        title: "From ingesters into the bucket",
        panels: vec![
            several(
                "Uploads",
                "short",
                &[
                    (
                        "sum(increase(pyroscope_shipper_uploads_total{$$}[$__rate_interval]))",
                        "uploaded",
                    ),
                    (
                        "sum(increase(pyroscope_shipper_upload_failures_total{$$}[$__rate_interval]))",
                        "failed",
                    ),
                ],
                "Blocks.",
            ),
            one(
                "Blocks that wait for their upload",
                "short",
                "phlare_ingester_blocks_to_upload{$$}",
                "{{pod}}",
                "Should go back to zero after each hour.",
            ),
            several(
                "Room on the disk",
                "bytes",
                &[
                    ("phlare_ingester_disk_free_bytes{$$}", "{{pod}}"),
                    (
                        "max(phlare_ingester_disk_reserve_bytes{$$})",
                        "pushes are refused below",
                    ),
                ],
                "",
            ),
        ],
    }
}

pub(super) fn compactor() -> Row {
    Row {
        title: "Compactor",
        panels: vec![
            several(
                "Jobs",
                "short",
                &[
                    (
                        "sum(increase(pyroscope_compactor_group_compaction_runs_completed_total{$$}[$__rate_interval]))",
                        "done",
                    ),
                    (
                        "sum(increase(pyroscope_compactor_group_compactions_failures_total{$$}[$__rate_interval]))",
                        "failed",
                    ),
                ],
                "",
            ),
            one(
                "Bytes merged",
                "Bps",
                "sum(rate(phlare_compactor_input_bytes_total{$$}[$__rate_interval]))",
                "read",
                "",
            ),
            several(
                "Since it last went well",
                "s",
                &[
                    (
                        "time() - max(pyroscope_compactor_last_successful_run_timestamp_seconds{$$} > 0)",
                        "compaction",
                    ),
                    (
                        "time() - max(pyroscope_compactor_block_cleanup_last_successful_run_timestamp_seconds{$$} > 0)",
                        "deletion of old blocks",
                    ),
                ],
                "",
            ),
        ],
    }
}

pub(super) fn blocks() -> Row {
    Row {
        title: "What queries see",
        panels: vec![
            one(
                "Blocks in the bucket",
                "short",
                "sum by (compaction_level) (max by (user, compaction_level) (pyroscope_bucket_blocks_count{$$}))",
                "level {{compaction_level}}",
                "By how often they were merged.",
            ),
            one(
                "Blocks that queries see",
                "short",
                "phlare_bucket_stores_blocks{$$}",
                "{{pod}}",
                "",
            ),
            several(
                "Damaged",
                "short",
                &[
                    (
                        "sum(increase(phlare_blocks_left_out_total{$$}[$__rate_interval]))",
                        "left out of answers",
                    ),
                    (
                        "sum(phlare_bucket_stores_bad_metas{$$})",
                        "meta.json can't be read",
                    ),
                ],
                "Anything but zero needs a look: `phlarectl blocks verify`.",
            ),
        ],
    }
}
