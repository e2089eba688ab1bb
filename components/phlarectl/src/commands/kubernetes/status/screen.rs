//! Reports for people.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::report::{Report, Said, Summary};
use crate::ui;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const BUSY: Style = AnsiColor::Yellow.on_default();

/// A duration as kubectl shows it.
fn age(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A list of resources, a line for each.
pub(super) fn list(all: &[Summary], with_namespace: bool) -> String {
    let mut header = vec![
        "name",
        "mode",
        "version",
        "ready",
        "pods",
        "age",
        "what is going on",
    ];
    if with_namespace {
        header.insert(0, "namespace");
    }
    let mut table = ui::table(&header, &[]);
    for one in all {
        let mut row = vec![
            one.name.clone(),
            one.mode.clone(),
            one.version.clone().unwrap_or_default(),
            if one.ready { "yes" } else { "no" }.to_owned(),
            one.pods.clone().unwrap_or_default(),
            age(one.age_s),
            shortened(&one.doing, 100),
        ];
        if with_namespace {
            row.insert(0, one.namespace.clone());
        }
        table.add_row(row);
    }
    table.trim_fmt()
}

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

/// One resource.
pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    head(report, &mut text);
    conditions(&report.conditions, &mut text);
    components(report, &mut text);
    unready(report, &mut text);
    volumes(report, &mut text);
    title("What to do", &mut text);
    for step in &report.next {
        let _ = writeln!(text, "  {step}");
    }
    text
}

fn title(title: &str, text: &mut String) {
    let strong = ui::STRONG;
    let _ = writeln!(text, "\n{strong}{title}{strong:#}");
}

fn head(report: &Report, text: &mut String) {
    let Summary {
        namespace,
        name,
        mode,
        version,
        ready,
        pods,
        doing,
        age_s,
    } = &report.summary;
    let (strong, dim) = (ui::STRONG, ui::DIM);
    let style = if *ready { GOOD } else { BAD };
    let word = if *ready { "ready" } else { "not ready" };
    let version = version.as_deref().unwrap_or("no version yet");
    let pods = pods.as_deref().unwrap_or("0/0");
    let _ = writeln!(
        text,
        "{strong}{name}{strong:#} {dim}in {namespace}{dim:#}  {mode} {version}  {style}{word}{style:#}  {pods} pods  {dim}{}{dim:#}",
        age(*age_s)
    );
    let _ = writeln!(text, "{}", shortened(doing, 200));
    if let (Some(push), Some(query)) = (&report.push, &report.query) {
        let _ = writeln!(text, "profiles go to {push}, queries to {query}");
    }
}

fn conditions(all: &[Said], text: &mut String) {
    if all.is_empty() {
        return;
    }
    title("Conditions", text);
    let wide = |of: fn(&Said) -> usize| all.iter().map(of).max().unwrap_or_default();
    let kinds = wide(|said| said.kind.len());
    let reasons = wide(|said| said.reason.len());
    for said in all {
        let (style, mark) = match (said.kind.as_str(), said.status.as_str()) {
            ("Stalled", "True") => (BAD, "✗"),
            ("Reconciling", "True") => (BUSY, "…"),
            ("UpToDate" | "MonitoringActive", "False") => (BUSY, "…"),
            (_, "True") => (GOOD, "✓"),
            _ => (BAD, "✗"),
        };
        let _ = writeln!(
            text,
            "  {style}{mark}{style:#} {:kinds$}  {:reasons$}  {}",
            said.kind, said.reason, said.message
        );
    }
}

fn indented(table: &str, text: &mut String) {
    for line in table.lines() {
        let _ = writeln!(text, "  {line}");
    }
}

fn components(report: &Report, text: &mut String) {
    if report.components.is_empty() {
        return;
    }
    title("Components", text);
    let mut table = ui::table(
        &["component", "zone", "ready", "updated", "release", "image"],
        &[2, 3],
    );
    for workload in &report.components {
        let images = workload
            .images
            .iter()
            .map(|(image, count)| match workload.images.len() {
                1 => image.clone(),
                _ => format!("{image} ({count})"),
            });
        table.add_row([
            workload.component.clone(),
            workload.zone.clone().unwrap_or_default(),
            format!("{}/{}", workload.ready, workload.desired),
            workload.updated.to_string(),
            workload.release.clone().unwrap_or_default(),
            images.collect::<Vec<_>>().join(", "),
        ]);
    }
    indented(&table.trim_fmt(), text);
}

fn unready(report: &Report, text: &mut String) {
    if report.unready_pods.is_empty() {
        return;
    }
    title("Pods that are not ready", text);
    let mut table = ui::table(&["pod", "why", "restarts", "age", ""], &[2, 3]);
    for pod in &report.unready_pods {
        table.add_row([
            pod.name.clone(),
            pod.reason.clone(),
            pod.restarts.to_string(),
            age(pod.age_s),
            pod.message.clone(),
        ]);
    }
    indented(&table.trim_fmt(), text);
}

fn volumes(report: &Report, text: &mut String) {
    if report.volumes.is_empty() {
        return;
    }
    title("Volumes", text);
    let mut table = ui::table(&["claim", "state", "size", "class"], &[2]);
    for volume in &report.volumes {
        let size = match &volume.growing_to {
            Some(more) => format!("{} → {more}", volume.size),
            None => volume.size.clone(),
        };
        table.add_row([
            volume.name.clone(),
            volume.phase.clone(),
            size,
            volume.class.clone(),
        ]);
    }
    indented(&table.trim_fmt(), text);
}

#[cfg(test)]
mod tests;
