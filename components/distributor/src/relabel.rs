//! Relabelling at ingestion: the built-in rules and the tenant's (api.md 4.7).

use phlare_model::LabelsBuilder;
use phlare_model::labels::names::{DELTA, NAME, NAME_REPLACED, TYPE, UNIT};
use phlare_tenancy::relabel::{Verdict, relabel};
use phlare_tenancy::{Limits, RulesPosition};

/// Applies all rules to the labels of a series. If the series is dropped, its labels no longer matter.
pub(crate) fn series(labels: &mut LabelsBuilder, limits: &Limits) -> Verdict {
    let position = limits.ingestion_relabeling_default_rules_position;
    if position == RulesPosition::First {
        built_in(labels);
    }
    let verdict = relabel(&limits.ingestion_relabeling_rules, labels);
    if verdict == Verdict::Keep && position == RulesPosition::Last {
        built_in(labels);
    }
    verdict
}

/// Whether the rules for sample types keep this one.
pub(crate) fn keeps_type(labels: &LabelsBuilder, kind: &str, unit: &str, limits: &Limits) -> bool {
    let mut labels = labels.clone();
    labels.set(TYPE, kind).set(UNIT, unit);
    relabel(&limits.sample_type_relabeling_rules, &mut labels) == Verdict::Keep
}

/// Names that clients use for a thing that has another name here.
fn built_in(labels: &mut LabelsBuilder) {
    let Some(name) = labels.get(NAME) else { return };
    if let Some(short) = name
        .strip_prefix("godeltaprof_")
        .filter(|short| !short.is_empty())
    {
        let (name, short) = (name.to_owned(), short.to_owned());
        labels
            .set(NAME, &short)
            .set(NAME_REPLACED, &name)
            .set(DELTA, "false");
    } else if name == "wall" && labels.get(TYPE) == Some("cpu") {
        labels.set(NAME, "process_cpu").set(NAME_REPLACED, "wall");
    }
}

#[cfg(test)]
mod tests {
    use phlare_tenancy::RelabelRules;

    use super::*;

    fn limits(rules: &str, position: RulesPosition) -> Limits {
        Limits {
            ingestion_relabeling_rules: rules.parse::<RelabelRules>().unwrap(),
            ingestion_relabeling_default_rules_position: position,
            ..Limits::default()
        }
    }

    #[track_caller]
    fn check(given: &[(&str, &str)], limits: &Limits, expected: &str) {
        let mut labels: LabelsBuilder = given.iter().copied().collect();
        let verdict = series(&mut labels, limits);
        let got = if verdict == Verdict::Keep {
            labels.build().to_string()
        } else {
            "dropped".to_owned()
        };
        assert_eq!(got, expected, "{given:?}");
    }

    #[test]
    fn deltas_of_go_are_renamed_and_not_differenced_again() {
        let expected =
            r#"{__delta__="false", __name__="memory", __name_replaced__="godeltaprof_memory"}"#;
        check(
            &[(NAME, "godeltaprof_memory")],
            &Limits::default(),
            expected,
        );
        check(
            &[(NAME, "godeltaprof_")],
            &Limits::default(),
            r#"{__name__="godeltaprof_"}"#,
        );
    }

    #[test]
    fn cpu_time_of_a_wall_profile_is_cpu() {
        let expected = r#"{__name__="process_cpu", __name_replaced__="wall", __type__="cpu"}"#;
        check(
            &[(NAME, "wall"), (TYPE, "cpu")],
            &Limits::default(),
            expected,
        );
        check(
            &[(NAME, "wall")],
            &Limits::default(),
            r#"{__name__="wall"}"#,
        );
    }

    #[test]
    fn the_tenants_rules_stand_before_or_after_the_built_in_ones() {
        let drop_memory =
            r#"[{"action": "drop", "source_labels": ["__name__"], "regex": "memory"}]"#;
        let given = [(NAME, "godeltaprof_memory")];
        check(
            &given,
            &limits(drop_memory, RulesPosition::First),
            "dropped",
        );
        let renamed =
            r#"{__delta__="false", __name__="memory", __name_replaced__="godeltaprof_memory"}"#;
        check(&given, &limits(drop_memory, RulesPosition::Last), renamed);
        check(
            &given,
            &limits(drop_memory, RulesPosition::Disabled),
            r#"{__name__="godeltaprof_memory"}"#,
        );
    }

    #[test]
    fn rules_for_sample_types_see_type_unit_and_series() {
        let rules = r#"[{"action": "drop", "source_labels": ["service_name", "__type__"], "regex": "s;alloc_.*"}]"#;
        let limits = Limits {
            sample_type_relabeling_rules: rules.parse().unwrap(),
            ..Limits::default()
        };
        let labels: LabelsBuilder = [("service_name", "s")].into_iter().collect();
        assert!(!keeps_type(&labels, "alloc_space", "bytes", &limits));
        assert!(keeps_type(&labels, "inuse_space", "bytes", &limits));
    }
}
