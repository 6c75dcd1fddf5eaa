//! The users of a file, in either format.

use std::io::BufRead;
use std::path::Path;

use idpflare_management::workflows::ImportRow;

use crate::csv_rows::CsvRows;
use crate::lines::Lines;
use crate::ndjson_rows::NdjsonRows;

#[derive(Clone, Copy)]
pub(crate) enum Format {
    Ndjson,
    Csv,
}

impl Format {
    pub(crate) fn of_name(name: &str) -> Result<Self, String> {
        match name.to_ascii_lowercase().as_str() {
            "ndjson" | "jsonl" => Ok(Self::Ndjson),
            "csv" => Ok(Self::Csv),
            _ => Err(format!("{name:?} is neither ndjson nor csv")),
        }
    }

    pub(crate) fn of_file(file: &Path) -> Result<Self, String> {
        let extension = file.extension().and_then(|extension| extension.to_str());
        Self::of_name(extension.unwrap_or_default()).map_err(|_| {
            format!(
                "{} ends in neither .ndjson nor .csv: say which with --format",
                file.display()
            )
        })
    }
}

pub(crate) fn rows<'a>(
    format: Format,
    input: impl BufRead + Send + 'a,
) -> Result<Box<dyn Iterator<Item = ImportRow> + Send + 'a>, String> {
    let lines = Lines::new(input);
    Ok(match format {
        Format::Ndjson => Box::new(NdjsonRows::new(lines)),
        Format::Csv => Box::new(CsvRows::new(lines)?),
    })
}
