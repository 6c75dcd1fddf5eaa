//! Every operation, with success and with every kind of failure, in process and over real sockets.

use std::collections::HashSet;
use std::time::Duration;

use idpflare_management::testing::{FaultRule, FaultScript};
use idpflare_management::*;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::faults::cases;
use crate::operations::{Targets, perform};
use crate::sites::Site;
use crate::witness::Witness;

/// How many of the operations succeed, where all are performed at the same time.
async fn perform_all(site: &Site, witness: &Witness, targets: &Targets) -> usize {
    let mut outcomes = JoinSet::new();
    for operation in OPERATIONS {
        // Each has its own, so that no pause that the server asks for holds up the others.
        let client = site.client(&witness.notes);
        witness.notes.debug(&client);
        let arguments = targets.arguments(operation.id);
        outcomes.spawn(perform(operation.id, &client, arguments, &witness.notes));
    }
    let outcomes = outcomes.join_all().await;
    outcomes.iter().filter(|succeeded| **succeeded).count()
}

async fn take_tour(mut site: Site, witness: &mut Witness) {
    let targets = Targets::of(&site.fake).await.expect("targets");
    let succeeded = perform_all(&site, witness, &targets).await;
    assert_eq!(succeeded, OPERATIONS.len());
    witness.assert_discreet("success");

    let mut kinds = HashSet::new();
    for case in cases() {
        let targets = Targets::of(&site.fake).await.expect("targets");
        let occasion = format!("{:?}", case.fault);
        witness.notes.debug(&case.fault);
        kinds.insert(case.fault.kind());
        site.impatient = case.impatient;
        let rule = FaultRule::new(case.fault).times(u64::MAX);
        let script = FaultScript::new().rule(rule);
        site.fake.set_faults(script);
        let succeeded = perform_all(&site, witness, &targets).await;
        site.fake.clear_faults();
        site.impatient = false;
        if case.fails {
            assert_eq!(succeeded, 0, "{occasion}");
        }
        witness.assert_discreet(&occasion);
    }
    assert_eq!(kinds.len(), 13, "each kind");

    perform_all(&site, witness, &Targets::unknown()).await;
    witness.assert_discreet("400 and 404");

    site.key = site.fake.api_key_with_scopes([]);
    crate::arriving::note_secret(&witness.notes, &site.key);
    let targets = Targets::of(&site.fake).await.expect("targets");
    assert_eq!(perform_all(&site, witness, &targets).await, 0);
    witness.assert_discreet("403");

    site.key = String::from(crate::secrets::RAW_KEY.split(' ').next().expect("a part"));
    assert_eq!(perform_all(&site, witness, &targets).await, 0);
    witness.assert_discreet("401");
}

#[test]
fn in_process() {
    let mut witness = Witness::start();
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let site = Site::in_process(&witness.notes);
    runtime.block_on(take_tour(site, &mut witness));
    drop(runtime);
    witness.assert_discreet("the end");
    witness.assert_heard(&["call", "attempt", "tower_http"]);
}

/// On several threads, as most programs are.
fn over_sockets(witness: &mut Witness, site: impl AsyncFnOnce(&Witness) -> Site) {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let site = site(witness).await;
        take_tour(site, witness).await;
    });
    runtime.shutdown_timeout(Duration::from_secs(10));
    witness.assert_discreet("the end");
    witness.assert_heard(&["call", "attempt", "tower_http", "hyper_util"]);
    if cfg!(hyper_unstable_tracing) {
        witness.assert_heard(&["hyper"]);
    }
}

#[test]
fn over_loopback() {
    let mut witness = Witness::start();
    over_sockets(&mut witness, async |witness| {
        Site::over_loopback(&witness.notes).await
    });
}

#[test]
fn over_tls_and_http2() {
    let mut witness = Witness::start();
    over_sockets(&mut witness, async |witness| {
        Site::over_tls(&witness.notes).await
    });
    witness.assert_heard(&["h2", "rustls"]);
}
