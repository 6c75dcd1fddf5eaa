//! Ctrl-C: once to finish what is under way, twice to leave at once.

use std::io::Write;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::ProgressBar;
use tokio::sync::oneshot;

/// The usual exit code after Ctrl-C.
const INTERRUPTED: i32 = 130;

#[derive(Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from now on; the other value resolves at the first Ctrl-C.
    pub(crate) fn listen(bar: &ProgressBar) -> (Self, impl Future<Output = ()> + use<>) {
        let (sender, receiver) = oneshot::channel::<()>();
        let interrupted = Self(Arc::default());
        let (flag, bar) = (interrupted.clone(), bar.clone());
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_err() {
                return;
            }
            flag.0.store(true, Ordering::Relaxed);
            bar.suspend(|| {
                let text = "Finishing what is under way. Ctrl-C once more leaves at once.";
                let _ = writeln!(std::io::stderr(), "{text}");
            });
            let _ = sender.send(());
            if tokio::signal::ctrl_c().await.is_ok() {
                process::exit(INTERRUPTED);
            }
        });
        (interrupted, async {
            // Where nobody listens for Ctrl-C, none comes.
            if receiver.await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }

    pub(crate) fn happened(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
