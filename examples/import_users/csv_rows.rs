//! Comma-separated values, below the names of the fields.

use std::io::BufRead;

use csv::{ReaderBuilder, StringRecord};
use idpflare_management::CreateUser;
use idpflare_management::workflows::ImportRow;

use crate::lines::{LONGEST, Lines};

const FIELDS: [&str; 10] = [
    "email",
    "password",
    "given_name",
    "family_name",
    "picture_url",
    "locale",
    "email_verified",
    "roles",
    "is_active",
    "metadata",
];

pub(crate) struct CsvRows<R> {
    lines: Lines<R>,
    fields: Vec<String>,
}

impl<R: BufRead> CsvRows<R> {
    /// Reads the first row. A file with nothing in it has no users.
    pub(crate) fn new(mut lines: Lines<R>) -> Result<Self, String> {
        let names = match next_record(&mut lines) {
            Some((_, names)) => names.map_err(|error| format!("in the first row: {error}"))?,
            None => StringRecord::new(),
        };
        let fields: Vec<_> = names.iter().map(|name| name.trim().to_owned()).collect();
        for (column, name) in fields.iter().enumerate() {
            if !FIELDS.contains(&&**name) {
                let known = FIELDS.join(", ");
                return Err(format!(
                    "in the first row: {name:?} is no field of a user: those are {known}"
                ));
            }
            if fields[..column].contains(name) {
                return Err(format!("in the first row: {name} is there twice"));
            }
        }
        if !fields.is_empty() && !fields.iter().any(|name| name == "email") {
            return Err(String::from("in the first row: there is no column email"));
        }
        Ok(Self { lines, fields })
    }

    fn user(&self, record: &StringRecord) -> Result<CreateUser, String> {
        if record.len() != self.fields.len() {
            let (has, expected) = (record.len(), self.fields.len());
            return Err(format!(
                "it has {has} values, and there are {expected} columns"
            ));
        }
        let mut user = CreateUser::new("");
        for (name, value) in self.fields.iter().zip(record) {
            if !value.is_empty() {
                set(&mut user, name, value)?;
            }
        }
        Ok(user)
    }
}

impl<R: BufRead> Iterator for CsvRows<R> {
    type Item = ImportRow;

    fn next(&mut self) -> Option<ImportRow> {
        let (line, record) = next_record(&mut self.lines)?;
        let user = record.and_then(|record| self.user(&record));
        Some(ImportRow::from((line, user)))
    }
}

/// The next row and where it begins: several lines, where there are ends of lines in quotes.
fn next_record<R: BufRead>(lines: &mut Lines<R>) -> Option<(u64, Result<StringRecord, String>)> {
    let mut text = lines.find(|line| !line.as_ref().is_ok_and(|text| text.trim().is_empty()))?;
    let first = lines.number();
    loop {
        let record = match &mut text {
            Err(error) => Err(std::mem::take(error)),
            Ok(text) if text.matches('"').count() % 2 == 0 => parse(text),
            Ok(open) if open.len() <= LONGEST => match lines.next() {
                Some(Ok(more)) => {
                    open.push('\n');
                    open.push_str(&more);
                    continue;
                }
                Some(Err(error)) => Err(format!("line {}: {error}", lines.number())),
                None => Err(not_closed(first, lines.number())),
            },
            Ok(_) => Err(not_closed(first, lines.number())),
        };
        return Some((first, record));
    }
}

fn not_closed(first: u64, last: u64) -> String {
    format!("a quote is not closed, so that lines {first} to {last} can't be read")
}

fn parse(text: &str) -> Result<StringRecord, String> {
    let mut reader = ReaderBuilder::new();
    let mut reader = reader
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut records = reader.records();
    match (records.next(), records.next()) {
        (Some(Ok(record)), None) => Ok(record),
        _ => Err(String::from("a quote is out of place")),
    }
}

fn set(user: &mut CreateUser, name: &str, value: &str) -> Result<(), String> {
    let text = || Some(value.to_owned());
    match name {
        "email" => value.clone_into(&mut user.email),
        "password" => user.password = Some(value.into()),
        "given_name" => user.given_name = text(),
        "family_name" => user.family_name = text(),
        "picture_url" => user.picture_url = text(),
        "locale" => user.locale = text(),
        "email_verified" => user.email_verified = Some(flag(name, value)?),
        "is_active" => user.is_active = Some(flag(name, value)?),
        "roles" => {
            let roles = value
                .split(';')
                .map(str::trim)
                .filter(|role| !role.is_empty());
            user.roles = Some(roles.map(str::to_owned).collect());
        }
        _ => {
            let metadata = serde_json::from_str(value);
            user.metadata = Some(metadata.map_err(|_| format!("{name} is no JSON object"))?);
        }
    }
    Ok(())
}

fn flag(name: &str, value: &str) -> Result<bool, String> {
    match value.trim().to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("{name} is neither true nor false")),
    }
}
