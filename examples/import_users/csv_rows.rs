//! Comma-separated values, below the names of the fields: a row is one line, so that a quote too few
//! or too many spoils no other.

use std::io::BufRead;

use idpflare_management::CreateUser;
use idpflare_management::workflows::ImportRow;

use crate::csv_values::values;
use crate::lines::Lines;

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
        let names = match next_row(&mut lines) {
            Some((_, names)) => names.map_err(|error| format!("in the first row: {error}"))?,
            None => Vec::new(),
        };
        let fields: Vec<_> = names.iter().map(|name| name.trim().to_owned()).collect();
        // First of all: without names, what is there may be a password.
        if !fields.is_empty() && !fields.iter().any(|name| name == "email") {
            return Err(String::from("in the first row: there is no column email"));
        }
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
        Ok(Self { lines, fields })
    }

    fn user(&self, values: &[String]) -> Result<CreateUser, String> {
        if values.len() != self.fields.len() {
            let (has, expected) = (values.len(), self.fields.len());
            return Err(format!(
                "it has {has} values, and there are {expected} columns"
            ));
        }
        let mut user = CreateUser::new("");
        for (name, value) in self.fields.iter().zip(values) {
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
        let (line, values) = next_row(&mut self.lines)?;
        let user = values.and_then(|values| self.user(&values));
        Some(ImportRow::from((line, user)))
    }
}

/// The next row and its line.
fn next_row<R: BufRead>(lines: &mut Lines<R>) -> Option<(u64, Result<Vec<String>, String>)> {
    let line = lines.find(|line| !line.as_ref().is_ok_and(|text| text.trim().is_empty()))?;
    Some((lines.number(), line.and_then(|text| values(&text))))
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
