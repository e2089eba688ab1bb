//! The columns of a row group that is being written.

use std::io::Write;
use std::sync::Arc;

use parquet::column::writer::{ColumnWriter, get_column_writer};
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::SchemaDescriptor;

use super::pages::Pages;
use super::schema::Leaf;
use super::staged::{Staged, fixed};

/// The columns of a row group, each with its own writer and pages.
pub(crate) struct Leaves {
    leaves: Vec<Open>,
    rows: usize,
    samples: usize,
}

struct Open {
    leaf: Leaf,
    writer: ColumnWriter<'static>,
    pages: Pages,
}

/// A leaf's values and levels.
enum Column<'a> {
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    Bytes(&'a [ByteArray]),
    Fixed(Vec<FixedLenByteArray>),
}

impl Leaves {
    pub(crate) fn new(schema: &SchemaDescriptor, properties: &WriterPropertiesPtr) -> Self {
        let leaves = Leaf::of(schema).into_iter().zip(schema.columns());
        let open = |(leaf, column): (Option<Leaf>, &Arc<_>)| {
            let pages = Pages::default();
            let writer = Box::new(pages.clone());
            Some(Open {
                leaf: leaf?,
                writer: get_column_writer(Arc::clone(column), Arc::clone(properties), writer),
                pages,
            })
        };
        Self {
            leaves: leaves.filter_map(open).collect(),
            rows: 0,
            samples: 0,
        }
    }

    /// Rows written.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of complete pages.
    pub(crate) fn len_bytes(&self) -> usize {
        self.leaves.iter().map(|open| open.pages.len_bytes()).sum()
    }

    /// Bytes of memory in use: complete pages, and values of those not complete, as if they were not encoded.
    pub(crate) fn size_bytes(&self) -> usize {
        let open = |open: &Open| {
            let values = match open.leaf {
                Leaf::Stacktrace | Leaf::Value | Leaf::Span => self.samples,
                leaf if leaf.is_of_samples() => return 0,
                _ => self.rows,
            };
            values.saturating_sub(open.pages.values()) * 8
        };
        self.len_bytes() + self.leaves.iter().map(open).sum::<usize>()
    }

    pub(crate) fn write(&mut self, staged: &Staged) -> Result<()> {
        for open in &mut self.leaves {
            open.write(staged)?;
        }
        self.rows += staged.rows;
        self.samples += staged.values.len();
        Ok(())
    }

    /// Writes the row group.
    pub(crate) fn finish<W: Write + Send>(self, file: &mut SerializedFileWriter<W>) -> Result<()> {
        let mut group = file.next_row_group()?;
        for open in self.leaves {
            let mut close = open.writer.close()?;
            open.pages.complete(&mut close)?;
            group.append_column(&open.pages.take(), close)?;
        }
        group.close()?;
        Ok(())
    }
}

impl Open {
    fn write(&mut self, s: &Staged) -> Result<()> {
        let samples = Some(s.repetition.as_slice());
        let rows = Some(s.nothing.as_slice());
        let one = Some(s.definition.as_slice());
        let (column, definition, repetition) = match self.leaf {
            Leaf::Id => (Column::Fixed(fixed(&s.ids)), None, None),
            Leaf::Series => (Column::Int32(&s.series), None, None),
            Leaf::Partition => (Column::Int64(&s.partitions), None, None),
            Leaf::Total => (Column::Int64(&s.totals), None, None),
            Leaf::Time => (Column::Int64(&s.times), None, None),
            Leaf::Stacktrace => (Column::Int64(&s.stacktraces), one, samples),
            Leaf::Value => (Column::Int64(&s.values), one, samples),
            Leaf::LabelKey | Leaf::LabelStr | Leaf::LabelNum | Leaf::LabelNumUnit => {
                (Column::Int64(&[]), one, samples)
            }
            Leaf::Span => {
                let definition = Some(s.levels_of(&s.span_definition));
                (Column::Int64(&s.spans), definition, samples)
            }
            Leaf::Trace => {
                let definition = Some(s.levels_of(&s.trace_definition));
                (Column::Fixed(fixed(&s.traces)), definition, samples)
            }
            Leaf::DropFrames | Leaf::KeepFrames => (Column::Int64(&[]), rows, None),
            Leaf::Comment => (Column::Int64(&[]), rows, rows),
            Leaf::Duration => {
                let definition = Some(s.durations.definition.as_slice());
                (Column::Int64(&s.durations.values), definition, None)
            }
            Leaf::Period => {
                let definition = Some(s.periods.definition.as_slice());
                (Column::Int64(&s.periods.values), definition, None)
            }
            Leaf::DefaultSampleType => {
                let column = &s.default_sample_types;
                let definition = Some(column.definition.as_slice());
                (Column::Int64(&column.values), definition, None)
            }
            Leaf::AnnotationKey | Leaf::AnnotationValue => {
                let values = match self.leaf {
                    Leaf::AnnotationKey => &s.annotations.keys,
                    _ => &s.annotations.values,
                };
                let definition = Some(s.annotations.definition.as_slice());
                let repetition = Some(s.annotations.repetition.as_slice());
                (Column::Bytes(values), definition, repetition)
            }
        };
        self.write_column(&column, definition, repetition)
    }

    fn write_column(
        &mut self,
        column: &Column<'_>,
        definition: Option<&[i16]>,
        repetition: Option<&[i16]>,
    ) -> Result<()> {
        use ColumnWriter as W;
        match (column, &mut self.writer) {
            (Column::Int32(values), W::Int32ColumnWriter(writer)) => {
                writer.write_batch(values, definition, repetition)?;
            }
            (Column::Int64(values), W::Int64ColumnWriter(writer)) => {
                writer.write_batch(values, definition, repetition)?;
            }
            (Column::Bytes(values), W::ByteArrayColumnWriter(writer)) => {
                writer.write_batch(values, definition, repetition)?;
            }
            (Column::Fixed(values), W::FixedLenByteArrayColumnWriter(writer)) => {
                writer.write_batch(values, definition, repetition)?;
            }
            _ => {
                let path = self.leaf.path();
                return Err(ParquetError::General(format!("{path} has another type")));
            }
        }
        Ok(())
    }
}
