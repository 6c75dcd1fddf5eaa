//! Faults on demand: what they are to a client, and what was done nevertheless.

mod file;
mod kinds;
mod maintenance;
mod order;
mod sockets;
mod table;

use idpflare_management::testing::{FakeIdpflare, Fault, FaultRule, FaultScript, RequestLogEntry};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// A fake, and what it tells of the requests that it is sent.
fn fake() -> (FakeIdpflare, UnboundedReceiver<RequestLogEntry>) {
    let fake = FakeIdpflare::new();
    let (tell, ledger) = unbounded_channel();
    fake.on_request(move |entry| {
        // A test that has seen enough does not listen any more.
        let _ = tell.send(entry.clone());
    });
    (fake, ledger)
}

/// A script with this fault, once.
fn once(fault: Fault) -> FaultScript {
    FaultScript::new().rule(FaultRule::new(fault))
}
