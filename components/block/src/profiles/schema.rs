//! The columns of the table, and of its downsampled form.
//!
//! Format: blocks.md 3.2 and 3.7.

use std::sync::Arc;

use parquet::basic::Type;
use parquet::errors::Result;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{SchemaDescriptor, TypePtr};

/// The table as Pyroscope 1.1 and later writes it. Names, types and order are upstream's.
const PROFILE: &str = "
message Profile {
  required fixed_len_byte_array(16) ID (UUID);
  required int32 SeriesIndex (INTEGER(32,false));
  required int64 StacktracePartition (INTEGER(64,false));
  required int64 TotalValue (INTEGER(64,false));
  required group Samples (LIST) {
    repeated group list {
      required group element {
        required int64 StacktraceID (INTEGER(64,false));
        required int64 Value (INTEGER(64,true));
        required group Labels (LIST) {
          repeated group list {
            required group element {
              required int64 Key (INTEGER(64,true));
              optional int64 Str (INTEGER(64,true));
              optional int64 Num (INTEGER(64,true));
              optional int64 NumUnit (INTEGER(64,true));
            }
          }
        }
        optional int64 SpanID (INTEGER(64,false));
        optional fixed_len_byte_array(16) TraceID;
      }
    }
  }
  optional int64 DropFrames (INTEGER(64,true));
  optional int64 KeepFrames (INTEGER(64,true));
  required int64 TimeNanos (TIMESTAMP(NANOS,true));
  optional int64 DurationNanos (INTEGER(64,true));
  optional int64 Period (INTEGER(64,true));
  required group Comments (LIST) {
    repeated group list {
      required int64 element (INTEGER(64,true));
    }
  }
  optional int64 DefaultSampleType (INTEGER(64,true));
  required group Annotations (LIST) {
    repeated group list {
      required group element {
        required binary Key (STRING);
        required binary Value (STRING);
      }
    }
  }
}";

/// The downsampled table.
const DOWNSAMPLED: &str = "
message DownsampledProfile {
  required int32 SeriesIndex (INTEGER(32,false));
  required int64 StacktracePartition (INTEGER(64,false));
  required int64 TotalValue (INTEGER(64,false));
  required group Samples (LIST) {
    repeated group list {
      required group element {
        required int64 StacktraceID (INTEGER(64,false));
        required int64 Value (INTEGER(64,true));
      }
    }
  }
  required int64 TimeNanos (TIMESTAMP(NANOS,true));
  required group Annotations (LIST) {
    repeated group list {
      required group element {
        required binary Key (STRING);
        required binary Value (STRING);
      }
    }
  }
}";

/// Which table a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Profiles,
    Downsampled,
}

impl Table {
    /// The table whose root in the schema is called so.
    pub(crate) fn named(root: &str) -> Self {
        match root {
            "DownsampledProfile" => Self::Downsampled,
            _ => Self::Profiles,
        }
    }

    /// Its leaves.
    pub(crate) fn leaves(self) -> impl Iterator<Item = Leaf> {
        use Leaf::{
            AnnotationKey, AnnotationValue, Partition, Series, Stacktrace, Time, Total, Value,
        };
        let all = Leaf::ALL.into_iter();
        all.filter(move |leaf| match self {
            Self::Profiles => true,
            Self::Downsampled => matches!(
                leaf,
                Series
                    | Partition
                    | Total
                    | Stacktrace
                    | Value
                    | Time
                    | AnnotationKey
                    | AnnotationValue
            ),
        })
    }

    pub(crate) fn schema(self) -> Result<TypePtr> {
        let text = match self {
            Self::Profiles => PROFILE,
            Self::Downsampled => DOWNSAMPLED,
        };
        Ok(Arc::new(parse_message_type(text)?))
    }
}

/// A leaf of the schema. Those that nobody reads (labels of samples, frames to drop or keep, comments) are written as
/// nothing, and skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaf {
    Id,
    Series,
    Partition,
    Total,
    Stacktrace,
    Value,
    LabelKey,
    LabelStr,
    LabelNum,
    LabelNumUnit,
    Span,
    Trace,
    DropFrames,
    KeepFrames,
    Time,
    Duration,
    Period,
    Comment,
    DefaultSampleType,
    AnnotationKey,
    AnnotationValue,
}

impl Leaf {
    /// All leaves, in the order of [`PROFILE`].
    pub(crate) const ALL: [Self; 21] = [
        Self::Id,
        Self::Series,
        Self::Partition,
        Self::Total,
        Self::Stacktrace,
        Self::Value,
        Self::LabelKey,
        Self::LabelStr,
        Self::LabelNum,
        Self::LabelNumUnit,
        Self::Span,
        Self::Trace,
        Self::DropFrames,
        Self::KeepFrames,
        Self::Time,
        Self::Duration,
        Self::Period,
        Self::Comment,
        Self::DefaultSampleType,
        Self::AnnotationKey,
        Self::AnnotationValue,
    ];

    /// Its path, parts joined by dots.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Id => "ID",
            Self::Series => "SeriesIndex",
            Self::Partition => "StacktracePartition",
            Self::Total => "TotalValue",
            Self::Stacktrace => "Samples.list.element.StacktraceID",
            Self::Value => "Samples.list.element.Value",
            Self::LabelKey => "Samples.list.element.Labels.list.element.Key",
            Self::LabelStr => "Samples.list.element.Labels.list.element.Str",
            Self::LabelNum => "Samples.list.element.Labels.list.element.Num",
            Self::LabelNumUnit => "Samples.list.element.Labels.list.element.NumUnit",
            Self::Span => "Samples.list.element.SpanID",
            Self::Trace => "Samples.list.element.TraceID",
            Self::DropFrames => "DropFrames",
            Self::KeepFrames => "KeepFrames",
            Self::Time => "TimeNanos",
            Self::Duration => "DurationNanos",
            Self::Period => "Period",
            Self::Comment => "Comments.list.element",
            Self::DefaultSampleType => "DefaultSampleType",
            Self::AnnotationKey => "Annotations.list.element.Key",
            Self::AnnotationValue => "Annotations.list.element.Value",
        }
    }

    /// The leaf at each column of a schema; `None` for columns that are not known.
    pub(crate) fn of(schema: &SchemaDescriptor) -> Vec<Option<Self>> {
        let leaf = |path: String| Self::ALL.into_iter().find(|leaf| leaf.path() == path);
        schema
            .columns()
            .iter()
            .map(|column| leaf(column.path().string()))
            .collect()
    }

    /// Physical type, definition and repetition levels of its values.
    pub(crate) fn shape(self) -> (Type, i16, i16) {
        match self {
            Self::Id => (Type::FIXED_LEN_BYTE_ARRAY, 0, 0),
            Self::Series => (Type::INT32, 0, 0),
            Self::Partition | Self::Total | Self::Time => (Type::INT64, 0, 0),
            Self::Stacktrace | Self::Value | Self::Comment => (Type::INT64, 1, 1),
            Self::LabelKey => (Type::INT64, 2, 2),
            Self::LabelStr | Self::LabelNum | Self::LabelNumUnit => (Type::INT64, 3, 2),
            Self::Span => (Type::INT64, 2, 1),
            Self::Trace => (Type::FIXED_LEN_BYTE_ARRAY, 2, 1),
            Self::DropFrames
            | Self::KeepFrames
            | Self::Duration
            | Self::Period
            | Self::DefaultSampleType => (Type::INT64, 1, 0),
            Self::AnnotationKey | Self::AnnotationValue => (Type::BYTE_ARRAY, 1, 1),
        }
    }

    /// Whether its values are unsigned, whatever their physical type is.
    pub(crate) fn is_unsigned(self) -> bool {
        use Leaf::{Partition, Series, Span, Stacktrace, Total};
        matches!(self, Series | Partition | Total | Stacktrace | Span)
    }

    /// One value, or null, for each sample.
    pub(crate) fn is_of_samples(self) -> bool {
        self.path().starts_with("Samples.")
    }
}
