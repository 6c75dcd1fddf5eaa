//! Rows for people.

use std::io::{self, Write};

/// Prints rows below their headings, each column as wide as its widest cell.
pub(crate) fn print<const N: usize>(
    out: &mut impl Write,
    headings: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> io::Result<()> {
    let rows: Vec<_> = rows
        .into_iter()
        .map(|row| row.map(|cell| printable(&cell)))
        .collect();
    if rows.is_empty() {
        return writeln!(out, "  (none)");
    }
    let mut widths = headings.map(|heading| heading.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    line(out, widths, &headings)?;
    line(out, widths, &widths.map(|width| "-".repeat(width)))?;
    for row in rows {
        line(out, widths, &row)?;
    }
    Ok(())
}

fn line<const N: usize>(
    out: &mut impl Write,
    widths: [usize; N],
    cells: &[impl AsRef<str>; N],
) -> io::Result<()> {
    let mut line = String::new();
    for (width, cell) in widths.into_iter().zip(cells) {
        line.push_str(&format!("  {:<width$}", cell.as_ref()));
    }
    writeln!(out, "{}", line.trim_end())
}

/// Names of users are chosen by users, and a terminal obeys what is in them.
fn printable(cell: &str) -> String {
    cell.replace(char::is_control, " ")
}

pub(crate) fn yes(value: bool) -> String {
    String::from(if value { "yes" } else { "-" })
}

pub(crate) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| String::from("-"), |value| value.to_string())
}

/// A point in time, to the minute.
pub(crate) fn time(time: idpflare_management::Timestamp) -> String {
    time.to_string()
        .chars()
        .take(16)
        .map(|char| if char == 'T' { ' ' } else { char })
        .collect()
}
