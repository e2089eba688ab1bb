//! The terminal: data on standard output, talk on standard error.
//!
//! Colour is stripped where it cannot be shown and where `NO_COLOR` is set.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use comfy_table::{Attribute, Cell, CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Parts of a text that matter less.
pub(crate) const DIM: Style = Style::new().dimmed();
/// Parts of a text that matter most.
pub(crate) const STRONG: Style = Style::new().bold();

/// Writes data. A reader that went away is no error.
pub(crate) fn data(text: &str) {
    let mut out = anstream::stdout().lock();
    let _ = writeln!(out, "{}", text.trim_end_matches('\n'));
}

/// Writes data as JSON.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    data(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Says something to the person at the terminal.
pub(crate) fn note(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Says why the program failed: one line, causes included.
pub(crate) fn error(error: &anyhow::Error) {
    note(&format!("{ERROR}error:{ERROR:#} {error:#}"));
}

/// A table without lines; the columns in `right` are aligned right.
pub(crate) fn table(header: &[&str], right: &[usize]) -> Table {
    let mut table = Table::new();
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let header = header.iter().map(|title| {
        let cell = Cell::new(title);
        if colour {
            cell.add_attribute(Attribute::Bold)
        } else {
            cell
        }
    });
    table.load_style(presets::NOTHING).set_header(header);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A progress bar on standard error; hidden where that is no terminal.
pub(crate) fn progress(count: usize) -> ProgressBar {
    let bar = ProgressBar::new(count as u64);
    match ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
