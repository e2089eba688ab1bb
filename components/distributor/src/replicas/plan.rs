//! Which rows go to which ingesters. Pure: a function of rows, ring and time.

use std::sync::Arc;

use phlare_model::labels::names::{PROFILE_TYPE, TYPE, UNIT};
use phlare_model::{Labels, LabelsBuilder, TenantId};
use phlare_phlaredb::Row;
use phlare_ring::{Error, Instance, Operation, ReplicationSet, Ring, Token};

/// Where the rows of one profile go.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) parts: Vec<Part>,
    pub(crate) targets: Vec<Target>,
}

/// The rows of one set of labels; they have the same replicas.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) token: Token,
    /// Places of its rows.
    pub(crate) rows: Vec<usize>,
    pub(crate) replicas: ReplicationSet,
}

/// One ingester, and what it gets.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) instance: Arc<Instance>,
    /// Each part, and the place of the instance among its replicas.
    pub(crate) parts: Vec<(usize, usize)>,
}

impl Plan {
    /// # Errors
    /// For some part too few replicas are alive.
    pub(crate) fn new(
        ring: &Ring,
        tenant: &TenantId,
        rows: &[Row],
        now_ms: i64,
    ) -> Result<Self, Error> {
        let mut parts: Vec<Part> = Vec::new();
        let mut groups: Vec<usize> = Vec::new();
        for (place, row) in rows.iter().enumerate() {
            let known = groups.iter().position(|group| *group == row.group);
            if let Some(part) = known.and_then(|known| parts.get_mut(known)) {
                part.rows.push(place);
                continue;
            }
            let token = Token::of_series(tenant, &placed(&row.labels));
            groups.push(row.group);
            parts.push(Part {
                token,
                rows: vec![place],
                replicas: ring.get(token, Operation::WRITE, now_ms)?,
            });
        }
        let mut targets: Vec<Target> = Vec::new();
        for (number, part) in parts.iter().enumerate() {
            for (place, instance) in part.replicas.instances.iter().enumerate() {
                let known = targets
                    .iter_mut()
                    .find(|target| target.instance.id == instance.id);
                match known {
                    Some(target) => target.parts.push((number, place)),
                    None => targets.push(Target {
                        instance: Arc::clone(instance),
                        parts: vec![(number, place)],
                    }),
                }
            }
        }
        Ok(Self { parts, targets })
    }
}

/// The labels that decide where a series belongs: those that all sample types of a profile share, so that they go
/// together.
fn placed(labels: &Labels) -> Labels {
    let kept = labels
        .iter()
        .filter(|(name, _)| ![TYPE, UNIT, PROFILE_TYPE].contains(name));
    LabelsBuilder::from_iter(kept).build()
}
