//! What a profile says, without indices and order: once from the result, once by a slow and plain reading of the
//! decoded message. Both must say the same.

use std::collections::{BTreeMap, HashMap};

use phlare_pprof::normalized::{HAS_FUNCTIONS, NO_TRACE};
use phlare_pprof::{Normalized, Options};
use phlare_proto::google::v1::{Function, Location, Mapping, Profile, Sample};

/// Name, system name, file, start line, line, column.
type CanonicalLine = (String, String, String, i64, i64, i64);
/// Start, limit, offset, file, build id, flags.
type CanonicalMapping = (u64, u64, u64, String, String, u8);
/// Mapping, address, folded, lines.
type CanonicalFrame = (CanonicalMapping, u64, bool, Vec<CanonicalLine>);
/// Labels, span, trace, frames.
type Row = (
    Vec<(String, String)>,
    u64,
    Option<[u8; 16]>,
    Vec<CanonicalFrame>,
);

/// All rows and their values.
pub(crate) type Canonical = BTreeMap<Row, Vec<i64>>;

/// What the result says. Checks the promises of [`Normalized`] on the way.
pub(crate) fn of_result(n: &Normalized<'_>) -> Canonical {
    check_promises(n);
    let text = |index: u32| n.strings[index as usize].to_owned();
    let mut rows = Canonical::new();
    for group in &n.groups {
        let labels: Vec<(String, String)> = group
            .labels
            .iter()
            .map(|&(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        for s in group.first..group.first + group.count {
            let sample = n.samples[s as usize];
            let mut frames = Vec::new();
            for &frame in n.frames_of(&n.stacks[sample.stack as usize]) {
                let l = n.locations[frame as usize];
                let m = n.mappings[l.mapping as usize];
                let lines = n.lines_of(&l).iter().map(|line| {
                    let f = n.functions[line.function as usize];
                    (
                        text(f.name),
                        text(f.system_name),
                        text(f.filename),
                        f.start_line,
                        line.line,
                        line.column,
                    )
                });
                let mapping = (
                    m.memory_start,
                    m.memory_limit,
                    m.file_offset,
                    text(m.filename),
                    text(m.build_id),
                    m.flags,
                );
                frames.push((mapping, l.address, l.is_folded, lines.collect()));
            }
            let trace = (sample.trace != NO_TRACE).then(|| n.trace_ids[sample.trace as usize]);
            let twice = rows.insert(
                (labels.clone(), sample.span_id, trace, frames),
                n.values_of(s as usize).to_vec(),
            );
            assert_eq!(twice, None, "equal samples are one");
        }
    }
    rows
}

fn check_promises(n: &Normalized<'_>) {
    assert!(n.time_ns != 0);
    assert_eq!(n.strings[0], "");
    assert_eq!(
        n.groups.iter().map(|g| g.count as usize).sum::<usize>(),
        n.samples.len()
    );
    assert_eq!(n.values.len(), n.samples.len() * n.sample_types.len());
    assert!(n.groups.iter().all(|g| g.count > 0 && g.labels.is_sorted()));
    let mut sets: Vec<_> = n.groups.iter().map(|g| &g.labels).collect();
    sets.sort();
    sets.dedup();
    assert_eq!(sets.len(), n.groups.len(), "groups are distinct");
    assert!(
        (0..n.samples.len()).all(
            |s| n.values_of(s).iter().all(|&v| v >= 0) && n.values_of(s).iter().any(|&v| v > 0)
        )
    );
    let (strings, functions, mappings) = (
        n.strings.len() as u32,
        n.functions.len() as u32,
        n.mappings.len() as u32,
    );
    assert!(
        n.functions
            .iter()
            .all(|f| f.name < strings && f.system_name < strings && f.filename < strings)
    );
    assert!(
        n.mappings
            .iter()
            .all(|m| m.filename < strings && m.build_id < strings)
    );
    assert!(n.lines.iter().all(|l| l.function < functions));
    assert!(
        n.locations.iter().all(
            |l| l.mapping < mappings && (l.first_line + l.line_count) as usize <= n.lines.len()
        )
    );
    for frame in n.stacks.iter().flat_map(|stack| n.frames_of(stack)) {
        assert!(n.location_hashes[*frame as usize] != 0);
    }
    assert!(
        n.stacks
            .iter()
            .all(|stack| n.frames_of(stack).len() == stack.depth as usize)
    );
    assert_eq!(n.strings.len(), n.string_hashes.len());
    assert_eq!(n.functions.len(), n.function_hashes.len());
    assert_eq!(n.mappings.len(), n.mapping_hashes.len());
    assert_eq!(n.locations.len(), n.location_hashes.len());
    let mut hashes: Vec<u64> = n.stacks.iter().map(|s| s.hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), n.stacks.len(), "equal stacks are one");
    for stack in n.stacks {
        let fold = |hash, &frame: &u32| {
            super::build::SEED.push_frame(hash, n.location_hashes[frame as usize])
        };
        assert_eq!(
            stack.hash,
            n.frames_of(stack)
                .iter()
                .rev()
                .fold(phlare_pprof::hash::ROOT, fold)
        );
    }
}

/// What the message says, by the rules of api.md 8.3 and our differences, in the plainest way. Limits of samples and
/// lengths and all repairs are left out.
pub(crate) fn of_message(p: &Profile, options: &Options<'_>) -> Canonical {
    let message = Message {
        strings: &p.string_table,
        // Collecting into a map: of equal ids the last one counts.
        locations: p.location.iter().map(|l| (l.id, l)).collect(),
        mappings: p.mapping.iter().map(|m| (m.id, m)).collect(),
        functions: p.function.iter().map(|f| (f.id, f)).collect(),
    };
    let mut rows = Canonical::new();
    for sample in &p.sample {
        let values: Vec<i64> = sample.value.iter().map(|&v| v.max(0)).collect();
        let depth = sample.location_id.len();
        let excess = depth.saturating_sub(options.max_depth);
        let cut = if options.max_depth > 0 { excess } else { 0 };
        let stack = sample.location_id[cut..].iter();
        let Some(frames) = stack
            .map(|id| message.frame(*id))
            .collect::<Option<Vec<_>>>()
        else {
            continue;
        };
        if values.iter().all(|&v| v == 0) {
            continue;
        }
        let (labels, span, trace) = message.labels(sample);
        let sums = rows
            .entry((labels, span, trace, frames))
            .or_insert_with(|| vec![0; values.len()]);
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum = i64::saturating_add(*sum, value);
        }
    }
    rows
}

/// A decoded message by id.
struct Message<'p> {
    strings: &'p [String],
    locations: HashMap<u64, &'p Location>,
    mappings: HashMap<u64, &'p Mapping>,
    functions: HashMap<u64, &'p Function>,
}

impl Message<'_> {
    fn text(&self, index: i64) -> String {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        self.strings.get(index).cloned().unwrap_or_default()
    }

    fn frame(&self, id: u64) -> Option<CanonicalFrame> {
        let location = self.locations.get(&id)?;
        let mut lines = Vec::new();
        for line in &location.line {
            let f = self.functions.get(&line.function_id)?;
            let [name, system_name, filename] =
                [f.name, f.system_name, f.filename].map(|s| self.text(s));
            lines.push((
                name,
                system_name,
                filename,
                f.start_line,
                line.line,
                line.column,
            ));
        }
        if lines.is_empty() && location.address == 0 {
            return None;
        }
        let m = match self.mappings.get(&location.mapping_id) {
            Some(m) if m.id != 0 => **m,
            _ => Mapping::default(),
        };
        let mut flags = if m.has_functions { HAS_FUNCTIONS } else { 0 };
        for (set, bit) in [
            (m.has_filenames, 4),
            (m.has_line_numbers, 2),
            (m.has_inline_frames, 1),
        ] {
            flags |= if set { bit } else { 0 };
        }
        let keep = |address: u64| if m.has_functions { 0 } else { address };
        let [start, limit, offset] = [m.memory_start, m.memory_limit, m.file_offset].map(keep);
        let mapping = (
            start,
            limit,
            offset,
            self.text(m.filename),
            self.text(m.build_id),
            flags,
        );
        Some((mapping, keep(location.address), location.is_folded, lines))
    }

    /// Labels, span and trace.
    fn labels(&self, sample: &Sample) -> (Vec<(String, String)>, u64, Option<[u8; 16]>) {
        let mut labels = Vec::new();
        let (mut span, mut old_span, mut trace) = (None, None, None);
        for label in sample.label.iter().filter(|l| l.str != 0) {
            let (key, text) = (self.text(label.key), self.text(label.str));
            match key.as_str() {
                "" => {}
                "span_id" => span = Some(text),
                "profile_id" => old_span = Some(text),
                "trace_id" => trace = Some(text),
                _ if text.is_empty() => {}
                _ => labels.push((key, text)),
            }
        }
        labels.sort();
        labels.dedup();
        let span = span.or(old_span).and_then(|text| bytes::<8>(&text));
        let trace = trace.and_then(|text| bytes::<16>(&text));
        (labels, span.map_or(0, u64::from_le_bytes), trace)
    }
}

fn bytes<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let digits: Option<Vec<u8>> = hex
        .chars()
        .map(|c| c.to_digit(16).map(|d| d as u8))
        .collect();
    let bytes: Vec<u8> = digits?
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair.get(1).copied().unwrap_or(0))
        .collect();
    if hex.len() == 2 * N {
        bytes.try_into().ok()
    } else {
        None
    }
}
