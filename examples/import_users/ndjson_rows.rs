//! One JSON object a line.

use std::io::BufRead;

use idpflare_management::CreateUser;
use idpflare_management::workflows::ImportRow;

use crate::lines::Lines;

pub(crate) struct NdjsonRows<R>(Lines<R>);

impl<R: BufRead> NdjsonRows<R> {
    pub(crate) fn new(lines: Lines<R>) -> Self {
        Self(lines)
    }
}

impl<R: BufRead> Iterator for NdjsonRows<R> {
    type Item = ImportRow;

    fn next(&mut self) -> Option<ImportRow> {
        loop {
            let line = self.0.next()?;
            if line.as_ref().is_ok_and(|text| text.trim().is_empty()) {
                continue;
            }
            let user = line.and_then(|text| user(&text));
            return Some(ImportRow::from((self.0.number(), user)));
        }
    }
}

/// serde's own messages quote what they find, which may be a password.
fn user(text: &str) -> Result<CreateUser, String> {
    let mut json = serde_json::Deserializer::from_str(text);
    let user: CreateUser = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let cause = error.inner();
        let missing = cause.to_string();
        if !cause.is_data() {
            not_json(cause)
        } else if missing.starts_with("missing field `") {
            missing.split(" at ").next().unwrap_or_default().to_owned()
        } else {
            match error.path().to_string().as_str() {
                "." => String::from("it is no object with the fields of a user"),
                field => format!("{field} is of the wrong type"),
            }
        }
    })?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(user)
}

fn not_json(error: &serde_json::Error) -> String {
    format!("it is not JSON, from column {} on", error.column())
}
