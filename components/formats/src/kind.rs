//! What the values of a text profile mean: the suffix of the application's name says it.

use crate::error::Error;
use crate::rate::SampleRate;

/// A profile type that a suffix stands for (api.md 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    suffix: &'static str,
    /// The label `__name__`.
    pub name: &'static str,
    sample_type: &'static str,
    sample_unit: &'static str,
    timed: Option<&'static str>,
}

/// Type and unit of the values of a profile, and what lies between two samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// For example `cpu`.
    pub sample_type: &'static str,
    /// For example `nanoseconds`.
    pub sample_unit: &'static str,
    /// Whether counts were turned into time; then the period type is `cpu`, its unit `nanoseconds`.
    pub timed: bool,
}

const fn counted(
    suffix: &'static str,
    name: &'static str,
    kind: &'static str,
    unit: &'static str,
) -> Kind {
    Kind {
        suffix,
        name,
        sample_type: kind,
        sample_unit: unit,
        timed: None,
    }
}

const fn timed(suffix: &'static str, name: &'static str, kind: &'static str) -> Kind {
    Kind {
        suffix,
        name,
        sample_type: "samples",
        sample_unit: "count",
        timed: Some(kind),
    }
}

const KINDS: [Kind; 25] = [
    timed("cpu", "process_cpu", "cpu"),
    timed("itimer", "process_cpu", "cpu"),
    timed("wall", "wall", "wall"),
    timed("seconds", "wall", "wall"),
    timed("nanoseconds", "wall", "wall"),
    timed("microseconds", "wall", "wall"),
    timed("milliseconds", "wall", "wall"),
    counted("inuse_objects", "memory", "inuse_objects", "count"),
    counted("alloc_objects", "memory", "alloc_objects", "count"),
    counted("inuse_space", "memory", "inuse_space", "bytes"),
    counted("alloc_space", "memory", "alloc_space", "bytes"),
    counted("bytes", "memory", "samples", "bytes"),
    counted("goroutines", "goroutine", "goroutines", "count"),
    counted("mutex_count", "mutex", "contentions", "count"),
    counted("mutex_duration", "mutex", "delay", "nanoseconds"),
    counted("block_count", "block", "contentions", "count"),
    counted("lock_count", "block", "contentions", "count"),
    counted("block_duration", "block", "delay", "nanoseconds"),
    counted("lock_duration", "block", "delay", "nanoseconds"),
    counted(
        "alloc_in_new_tlab_objects",
        "memory",
        "alloc_in_new_tlab_objects",
        "count",
    ),
    counted(
        "alloc_outside_tlab_objects",
        "memory",
        "alloc_outside_tlab_objects",
        "count",
    ),
    counted(
        "alloc_in_new_tlab_bytes",
        "memory",
        "alloc_in_new_tlab_bytes",
        "bytes",
    ),
    counted(
        "alloc_outside_tlab_bytes",
        "memory",
        "alloc_outside_tlab_bytes",
        "bytes",
    ),
    counted("live", "memory", "live", "count"),
    counted("exceptions", "exceptions", "samples", "count"),
];

impl Kind {
    /// Splits an application's name into the service and the type after its last dot.
    /// A name without a dot is a service whose CPU was profiled.
    ///
    /// # Errors
    /// [`Error::UnknownKind`].
    pub fn of_name(app: &str) -> Result<(&str, &'static Self), Error> {
        let (service, suffix) = app.rsplit_once('.').unwrap_or((app, "cpu"));
        match KINDS.iter().find(|kind| kind.suffix == suffix) {
            Some(kind) => Ok((service, kind)),
            None => Err(Error::UnknownKind {
                suffix: suffix.to_owned(),
                known: KINDS.map(|kind| kind.suffix).join(", "),
            }),
        }
    }

    /// Type and unit of the values when samples were taken at this rate.
    #[must_use]
    pub fn meaning(&self, rate: SampleRate) -> Meaning {
        match self.timed {
            Some(sample_type) if !rate.is_unknown() => Meaning {
                sample_type,
                sample_unit: "nanoseconds",
                timed: true,
            },
            _ => Meaning {
                sample_type: self.sample_type,
                sample_unit: self.sample_unit,
                timed: false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(app: &str, rate: SampleRate, expected: &str) {
        let (service, kind) = Kind::of_name(app).unwrap();
        let meaning = kind.meaning(rate);
        let got = format!(
            "{service} {}:{}:{}",
            kind.name, meaning.sample_type, meaning.sample_unit
        );
        assert_eq!(got, expected, "{app}");
    }

    #[test]
    fn suffixes_select_types() {
        let rate = SampleRate::DEFAULT;
        check("my.app.cpu", rate, "my.app process_cpu:cpu:nanoseconds");
        check("my.app.itimer", rate, "my.app process_cpu:cpu:nanoseconds");
        check("app", rate, "app process_cpu:cpu:nanoseconds");
        check("app.seconds", rate, "app wall:wall:nanoseconds");
        check("app.inuse_space", rate, "app memory:inuse_space:bytes");
        check("app.bytes", rate, "app memory:samples:bytes");
        check("app.goroutines", rate, "app goroutine:goroutines:count");
        check("app.lock_duration", rate, "app block:delay:nanoseconds");
        check("app.exceptions", rate, "app exceptions:samples:count");
    }

    #[test]
    fn without_a_rate_samples_stay_counts() {
        check(
            "app.cpu",
            SampleRate::UNKNOWN,
            "app process_cpu:samples:count",
        );
        check("app.wall", SampleRate::UNKNOWN, "app wall:samples:count");
    }

    #[test]
    fn an_unknown_suffix_is_named_with_the_known_ones() {
        let error = Kind::of_name("some.gadget").unwrap_err().to_string();
        assert!(
            error.starts_with("unknown profile type: gadget;"),
            "{error}"
        );
        assert!(error.contains("alloc_space"), "{error}");
    }
}
