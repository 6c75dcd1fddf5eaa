use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use idpflare_management::QueryAuditLogs;
use idpflare_management::workflows::AuditCheckpoint;
use serde::{Deserialize, Serialize};

/// What an export is of, and where it goes: a checkpoint means nothing for another one.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Subject {
    pub(crate) query: QueryAuditLogs,
    #[serde(default)]
    pub(crate) authority: String,
    #[serde(default)]
    pub(crate) output: Option<PathBuf>,
}

/// What is kept from one run to the next.
#[derive(Serialize, Deserialize)]
pub(crate) struct State {
    #[serde(flatten)]
    pub(crate) subject: Subject,
    /// How long the output was, where it is a file.
    pub(crate) written: Option<u64>,
    /// `None` where nothing has been read.
    pub(crate) checkpoint: Option<AuditCheckpoint>,
    /// Whether the export ended by itself, so that its last line is a whole one.
    #[serde(default)]
    pub(crate) has_ended: bool,
}

pub(crate) struct StateFile<'a> {
    path: &'a Path,
}

impl<'a> StateFile<'a> {
    pub(crate) fn new(path: &'a Path) -> Self {
        Self { path }
    }

    pub(crate) fn read(&self, subject: &Subject) -> Result<Option<State>, Box<dyn Error>> {
        let path = self.path.display();
        let text = match fs::read_to_string(self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{path} can't be read: {error}").into()),
        };
        let state: State = serde_json::from_str(&text)
            .map_err(|error| format!("{path} is no checkpoint: {error}"))?;
        let kept = &state.subject;
        let other = if kept.query != subject.query {
            "with other filters"
        } else if kept.authority != subject.authority {
            "from another instance"
        } else if kept.output != subject.output {
            // It would be cut back to the length that the other one had.
            "to another output"
        } else {
            return Ok(Some(state));
        };
        Err(format!("{path} is the checkpoint of an export {other}").into())
    }

    /// There is the one state or the other in the file at any time, and never a part of one.
    pub(crate) fn replace(&self, state: &State) -> Result<(), Box<dyn Error>> {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new: PathBuf = self.path.with_file_name(name);
        let write = || -> io::Result<()> {
            let mut file = File::create(&new)?;
            file.write_all(&serde_json::to_vec(state)?)?;
            file.sync_all()?;
            fs::rename(&new, self.path)
        };
        write().map_err(|error| format!("{} can't be written: {error}", self.path.display()).into())
    }
}
