//! A Markdown table whose columns also line up for the eye.

use std::fmt;

/// What stands in a cell.
pub(crate) enum Cell {
    /// The highest of its row gets a star.
    High(f64),
    /// The lowest of its row gets a star.
    Low(f64),
    /// Anything else.
    Text(String),
}

/// Rows under heads.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With a head for the names of the rows and one for each column.
    pub(crate) fn new<'a>(corner: &'a str, heads: impl IntoIterator<Item = &'a str>) -> Table {
        Table { rows: vec![std::iter::once(corner).chain(heads).map(str::to_owned).collect()] }
    }
    /// Adds a row.
    pub(crate) fn row(&mut self, name: &str, cells: Vec<Cell>) {
        let best = cells.iter().filter_map(rank).max();
        let text = cells.iter().map(|cell| match cell {
            Cell::High(v) | Cell::Low(v) => format!("{v:.3}{}", if rank(cell) == best { "*" } else { "" }),
            Cell::Text(text) => text.clone(),
        });
        self.rows.push(std::iter::once(name.to_owned()).chain(text).collect());
    }
}

/// More is better. What looks equal when printed is equal.
fn rank(cell: &Cell) -> Option<i64> {
    match cell {
        Cell::High(v) => Some((v * 1000.0).round() as i64),
        Cell::Low(v) => Some(-(v * 1000.0).round() as i64),
        Cell::Text(_) => None,
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |at: usize| self.rows.iter().filter_map(|r| r.get(at)).map(|c| c.chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (n, row) in self.rows.iter().enumerate() {
            for (at, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                if at == 0 {
                    write!(f, "| {cell:<width$} |")?;
                } else {
                    write!(f, " {cell:>width$} |")?;
                }
            }
            writeln!(f)?;
            if n == 0 {
                for (at, &width) in widths.iter().enumerate() {
                    let line = "-".repeat(width + 1);
                    if at == 0 { write!(f, "|{line}-|")? } else { write!(f, "{line}:|")? }
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}
