//! A cluster of two servers, each of which has half of the slots.

use std::time::Duration;

use idpflare_management::layers::{
    LeaseRequest, QuotaBackend, QuotaFailure, QuotaKey, Rate, RedisQuota,
};

use crate::order::block_on;
use crate::server::Server;

const SLOTS: u16 = 16384;

/// Servers of a cluster talk to one another at a port that is so much higher.
const BUS: u16 = 10_000;

fn start() -> Server {
    Server::start_with(|port| {
        // With a port for which there is none it does not start, and another one is tried.
        let fits = port.checked_add(BUS).is_some();
        let enabled = if fits { "yes" } else { "not with this port" };
        vec!["--cluster-enabled".into(), enabled.into()]
    })
    .expect("the server starts")
}

fn cluster() -> [Server; 2] {
    let nodes = [start(), start()];
    for (number, node) in (0..).zip(&nodes) {
        // A command on one line has its limits.
        for part in 0..4 {
            let first = number * (SLOTS / 2) + part * (SLOTS / 8);
            let slots: Vec<_> = (first..first + SLOTS / 8)
                .map(|slot| slot.to_string())
                .collect();
            let add = format!("CLUSTER ADDSLOTS {}", slots.join(" "));
            assert_eq!(node.command(&add), "+OK");
        }
    }
    let meet = format!("CLUSTER MEET 127.0.0.1 {}", nodes[1].port());
    assert_eq!(nodes[0].command(&meet), "+OK");
    for node in &nodes {
        let is_ready = || {
            let info = node.lines("CLUSTER INFO", 7).expect("the server answers");
            let has = |line: &str| info.iter().any(|found| found == line);
            has("cluster_state:ok") && has(&format!("cluster_slots_ok:{SLOTS}"))
        };
        let mut looks = 0;
        while !is_ready() {
            looks += 1;
            assert!(looks < 1200, "the servers do not find one another");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    nodes
}

pub(crate) fn the_node_that_has_the_slot_keeps_the_quota() {
    let nodes = cluster();
    let rate = Rate::per_second(1).and_then(|rate| rate.with_burst(10));
    let rate = rate.expect("a rate");
    let hour = Duration::from_secs(3600);
    let mut kept = [0, 0];
    block_on(async {
        for name in ["a", "b", "c", "d", "e", "f"] {
            let key = QuotaKey::named(name);
            // The part in braces alone chooses it.
            let slot = |key: &str| nodes[0].command(&format!("CLUSTER KEYSLOT {key}"));
            let tag = key.as_str().split(['{', '}']).nth(1).expect("a tag");
            assert_eq!(slot(key.as_str()), slot(tag));
            let slot: u16 = slot(tag)[1..].parse().expect("a number");
            let owner = usize::from(slot / (SLOTS / 2));
            kept[owner] += 1;

            let quotas = nodes
                .each_ref()
                .map(|node| RedisQuota::new(node.url(), QuotaKey::named(name)).expect("a URL"));
            let lease = quotas[owner].lease(LeaseRequest::new(rate, 20, hour)).await;
            let permits = lease.expect("a lease").permits().to_vec();
            assert_eq!(permits.len(), 20);
            let given_back = quotas[owner].give_back(rate, permits[15..].to_vec());
            given_back.await.expect("taken back");
            assert_eq!(nodes[owner].field(key.as_str(), "granted"), 15);
            quotas[owner].pause(rate, hour).await.expect("a pause");

            let elsewhere = &quotas[1 - owner];
            let refused = elsewhere.lease(LeaseRequest::new(rate, 1, hour)).await;
            let failure = refused.expect_err("not here").failure();
            assert_eq!(failure, QuotaFailure::Misdirected);
        }
    });
    assert!(kept.iter().all(|kept| *kept > 0), "{kept:?}");
}
