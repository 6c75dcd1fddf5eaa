//! What is seen while it goes on: a bar, on a terminal only, and each line that failed.

use std::io::Write;

use idpflare_management::workflows::{ImportEvent, ImportEventKind};
use indicatif::{ProgressBar, ProgressStyle};

pub(crate) fn bar(bytes: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{bar:30} {percent:>3} % of the file  {msg}  {elapsed_precise}",
    );
    ProgressBar::new(bytes).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

pub(crate) struct Progress {
    bar: ProgressBar,
    done: u64,
    failed: u64,
}

impl Progress {
    pub(crate) fn new(bar: &ProgressBar) -> Self {
        Self {
            bar: bar.clone(),
            done: 0,
            failed: 0,
        }
    }

    pub(crate) fn show(&mut self, event: &ImportEvent) {
        match &event.kind {
            ImportEventKind::Started => return,
            ImportEventKind::Failed(failure) => {
                self.failed += 1;
                self.say(event, failure);
            }
            ImportEventKind::Duplicate { first_line } => {
                self.done += 1;
                self.say(
                    event,
                    format!("not sent: line {first_line} has this address"),
                );
            }
            _ => self.done += 1,
        }
        let (done, failed) = (self.done, self.failed);
        self.bar
            .set_message(format!("{done} done, {failed} failed"));
    }

    fn say(&self, event: &ImportEvent, what: impl std::fmt::Display) {
        let email = event.email.as_deref().map_or(String::new(), |email| {
            // A terminal obeys what is in a file.
            format!(" ({})", email.replace(char::is_control, " "))
        });
        self.bar.suspend(|| {
            // Not `eprintln!`, which panics where nobody reads it any more.
            let _ = writeln!(std::io::stderr(), "line {}{email}: {what}", event.line);
        });
    }
}
