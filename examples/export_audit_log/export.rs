use std::error::Error;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use idpflare_management::Client;
use idpflare_management::workflows::{AuditCheckpoint, AuditTail, AuditTailEvent};

use crate::arguments::Arguments;
use crate::causes::with_causes;
use crate::lock::Lock;
use crate::output::Output;
use crate::state::{State, StateFile, Subject};

/// How often in a row an export that does not follow may fail.
const MAX_FAILURES: u32 = 10;
const BETWEEN_REPORTS: Duration = Duration::from_secs(1);

pub(crate) async fn run(client: &Client, arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let subject = Subject {
        query: arguments.query.clone(),
        authority: client.authority().to_string(),
        output: match &arguments.output {
            Some(path) => Some(std::path::absolute(path)?),
            None => None,
        },
    };
    // Before anything is read that another run may be about to change.
    let files = [&arguments.checkpoint, &arguments.output];
    let files = files.into_iter().flatten();
    let _locks = files
        .map(|path| Lock::of(path))
        .collect::<Result<Vec<_>, _>>()?;
    let state_file = arguments.checkpoint.as_deref().map(StateFile::new);
    let kept = match &state_file {
        Some(file) => file.read(&subject)?,
        None => None,
    };
    let written = kept.as_ref().and_then(|state| state.written);
    let output = match &arguments.output {
        Some(path) => Output::file(path, written)?,
        None => Output::stdout(),
    };
    if kept.as_ref().is_some_and(|state| !state.has_ended) {
        output.end_line()?;
    }
    let mut export = Export {
        arguments,
        subject,
        state_file,
        output,
        checkpoint: kept.and_then(|state| state.checkpoint),
        exported: 0,
        left_out: 0,
        reported: Instant::now(),
    };
    // What follows belongs to this checkpoint, so that it can be told apart when all ends here.
    export.keep(false)?;

    let mut tail = tail(client, arguments, export.checkpoint.clone());
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let event = tokio::select! {
            biased;
            _ = &mut interrupted => {
                return export.end("interrupted");
            }
            event = tail.next() => event,
        };
        match event {
            Some(Ok(event)) => export.handle(event)?,
            Some(Err(error)) if is_about_one_entry(&error) => {
                export.left_out += 1;
                eprintln!("left out: {}", with_causes(&error));
            }
            Some(Err(error)) => return Err(error.into()),
            None => return export.end("done"),
        }
    }
}

fn tail(client: &Client, arguments: &Arguments, kept: Option<AuditCheckpoint>) -> AuditTail {
    // One entry that this program can't read must not keep all others from being exported.
    let tail = AuditTail::new(client, arguments.query.clone()).lenient();
    let tail = match (kept, arguments.from) {
        (Some(checkpoint), _) => tail.from_checkpoint(checkpoint),
        (None, Some(from)) => tail.from_time(from),
        (None, None) => tail.from_beginning(),
    };
    let tail = match arguments.to {
        Some(to) => tail.until(to),
        None => tail,
    };
    if arguments.follow {
        tail
    } else {
        tail.until_caught_up()
    }
}

fn is_about_one_entry(error: &idpflare_management::Error) -> bool {
    let decode = error.decode_error();
    decode.is_some_and(|error| error.raw_row().is_some())
}

struct Export<'a> {
    arguments: &'a Arguments,
    subject: Subject,
    state_file: Option<StateFile<'a>>,
    output: Output,
    /// What is in the output.
    checkpoint: Option<AuditCheckpoint>,
    exported: u64,
    /// The entries that can't be decoded.
    left_out: u64,
    reported: Instant,
}

impl Export<'_> {
    fn handle(&mut self, event: AuditTailEvent) -> Result<(), Box<dyn Error>> {
        match event {
            AuditTailEvent::Entries(batch) => {
                self.output.write(&batch.entries)?;
                self.exported += batch.entries.len() as u64;
                let now_at = batch.checkpoint.watermark();
                self.checkpoint = Some(batch.checkpoint);
                self.keep(false)?;
                if self.reported.elapsed() >= BETWEEN_REPORTS {
                    self.reported = Instant::now();
                    let now_at = now_at.map_or_else(String::new, |time| format!(", up to {time}"));
                    eprintln!("{} entries{now_at}", self.exported);
                }
            }
            AuditTailEvent::CaughtUp { checkpoint } => {
                self.checkpoint = Some(checkpoint);
                self.keep(false)?;
                if self.arguments.follow {
                    eprintln!("{} entries; waiting for more", self.exported);
                }
            }
            AuditTailEvent::DatedAhead {
                entries, newest, ..
            } => eprintln!("{entries} entries are dated ahead, up to {newest}"),
            AuditTailEvent::Retrying {
                error,
                failures,
                wait,
            } => {
                if failures >= MAX_FAILURES && !self.arguments.follow {
                    return Err(error.into());
                }
                eprintln!("{error}; once more in {:.1} s", wait.as_secs_f64());
            }
            _ => {}
        }
        Ok(())
    }

    fn keep(&self, has_ended: bool) -> Result<(), Box<dyn Error>> {
        let Some(file) = &self.state_file else {
            return Ok(());
        };
        file.replace(&State {
            subject: self.subject.clone(),
            written: self.output.written(),
            checkpoint: self.checkpoint.clone(),
            has_ended,
        })
    }

    fn end(&self, how: &str) -> Result<(), Box<dyn Error>> {
        self.keep(true)?;
        let next = match &self.arguments.checkpoint {
            Some(path) => format!("; {} says where to go on", path.display()),
            None => String::new(),
        };
        eprintln!("{how}: {} entries exported{next}", self.exported);
        match self.left_out {
            0 => Ok(()),
            1 => Err("1 entry could not be decoded, and is not in the output".into()),
            many => Err(
                format!("{many} entries could not be decoded, and are not in the output").into(),
            ),
        }
    }
}
