//! Rows on their way to another process, beside the profile that they are of (`phlare_pprof::carried`).

use phlare_model::labels::Labels;
use phlare_pprof::Normalized;
use phlare_proto::phlare::ingest::v1 as wire;
use uuid::Uuid;

use crate::head::{PartitionId, Row};

/// Rows that cannot be of the profile beside them: a mistake in one of the two programs, or damage on the way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("carried row {row}: {problem}")]
pub struct CarriedRowError {
    row: usize,
    problem: &'static str,
}

impl Row {
    /// The wire form.
    #[must_use]
    pub fn to_wire(&self) -> wire::Row {
        let labels = self.labels.iter();
        wire::Row {
            labels: labels
                .flat_map(|(name, value)| [name.to_owned(), value.to_owned()])
                .collect(),
            group: self.group as u32,
            sample_type: self.sample_type as u32,
            id: self.id.as_bytes().to_vec(),
            partition: self.partition.0,
            delta: self.delta,
        }
    }

    /// Reads the rows of a profile.
    ///
    /// # Errors
    /// [`CarriedRowError`]: a row that refers to what the profile lacks, or makes no sense.
    pub fn from_wire(
        rows: &[wire::Row],
        profile: &Normalized<'_>,
    ) -> Result<Vec<Self>, CarriedRowError> {
        let read = |(at, row): (usize, &wire::Row)| {
            read(row, profile).map_err(|problem| CarriedRowError { row: at, problem })
        };
        rows.iter().enumerate().map(read).collect()
    }
}

fn read(row: &wire::Row, profile: &Normalized<'_>) -> Result<Row, &'static str> {
    let (pairs, rest) = row.labels.as_chunks::<2>();
    if !rest.is_empty() || pairs.is_empty() {
        return Err("labels are not names and values in turns");
    }
    let labels = Labels::in_stored_order(pairs.iter().map(|[name, value]| (name, value)));
    let (group, sample_type) = (row.group as usize, row.sample_type as usize);
    if group >= profile.groups.len() || sample_type >= profile.sample_types.len() {
        return Err("its group or its sample type is none of the profile");
    }
    Ok(Row {
        labels,
        group,
        sample_type,
        id: Uuid::from_slice(&row.id).map_err(|_| "its id is not 16 bytes")?,
        partition: PartitionId(row.partition),
        delta: row.delta,
    })
}

#[cfg(test)]
mod tests {
    use phlare_pprof::carried::{Carried, encode};
    use phlare_pprof::normalized::{Group, ValueType};
    use phlare_pprof::{Options, Seed, Workspace};
    use prost::Message;

    use super::*;

    const SEED: Seed = Seed::new(1, 2);

    fn row() -> Row {
        Row {
            labels: Labels::in_stored_order([("service_name", "s"), ("__name__", "cpu")]),
            group: 0,
            sample_type: 1,
            id: Uuid::from_u128(7),
            partition: PartitionId(u64::MAX),
            delta: true,
        }
    }

    /// Asks of a profile with one group and two sample types.
    fn with_profile<T>(ask: impl FnOnce(&Normalized<'_>) -> T) -> T {
        let mut workspace = Workspace::new();
        let message = phlare_proto::google::v1::Profile {
            sample_type: vec![Default::default(); 2],
            string_table: vec![String::new()],
            ..Default::default()
        };
        let bytes = message.encode_to_vec();
        let decoded = workspace.decode(&bytes, 1 << 20).unwrap();
        let mut profile = decoded.normalize(&Options::new(SEED, 1)).unwrap();
        profile.sample_types = vec![ValueType { kind: "", unit: "" }; 2];
        profile.groups = vec![Group {
            labels: Vec::new(),
            first: 0,
            count: 0,
        }];
        ask(&profile)
    }

    #[test]
    fn rows_arrive_as_they_are() {
        let read = with_profile(|profile| Row::from_wire(&[row().to_wire()], profile)).unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", [row()]));
    }

    #[test]
    fn rows_of_another_profile_are_refused() {
        let check = |change: &dyn Fn(&mut wire::Row), expected: &str| {
            let mut bad = row().to_wire();
            change(&mut bad);
            let rows = [row().to_wire(), bad];
            let error = with_profile(|profile| Row::from_wire(&rows, profile)).unwrap_err();
            assert_eq!(error.to_string(), format!("carried row 1: {expected}"));
        };
        let none = "its group or its sample type is none of the profile";
        check(&|row| row.group = 1, none);
        check(&|row| row.sample_type = 2, none);
        check(&|row| row.id.clear(), "its id is not 16 bytes");
        let turns = "labels are not names and values in turns";
        check(&|row| row.labels.truncate(1), turns);
        check(&|row| row.labels.clear(), turns);
    }

    #[test]
    fn a_profile_without_samples_can_be_carried() {
        with_profile(|profile| {
            let mut message = encode(profile);
            message.group_counts.clear();
            assert!(Carried::decode(&message.encode_to_vec(), SEED).is_ok());
        });
    }
}
