//! Paths, with and without a prefix that the proxy removes.

use idpflare_management::testing::FakeIdpflare;
use idpflare_management::{Client, OPERATIONS};

use crate::nginx::{Nginx, Site};
use crate::support::drive::drive_all;
use crate::upstream::{Arrived, Recorder};

pub(crate) async fn each_operation_arrives_as_it_was_sent() {
    let direct = sent_by(None).await;
    assert!(direct.len() >= OPERATIONS.len());
    let plain = "location / { proxy_pass http://fake; }";
    let prefix = "location /idp/ { proxy_pass http://fake/; }";
    for (location, path) in [(plain, ""), (prefix, "/idp")] {
        for listen in ["", "ssl http2"] {
            let arrived = sent_by(Some((location, listen, path))).await;
            for (arrived, direct) in arrived.iter().zip(&direct) {
                assert_eq!(arrived, direct, "{location} {listen}");
            }
            assert_eq!(arrived.len(), direct.len());
        }
    }
}

/// Returns the requests of all operations, as they arrive behind this location, or without a proxy.
async fn sent_by(proxy: Option<(&str, &'static str, &str)>) -> Vec<Arrived> {
    let fake = FakeIdpflare::new();
    fake.seed(30);
    let recorder = Recorder::start(&fake).await;
    let (client, _nginx) = match proxy {
        None => {
            let authority = format!("http://127.0.0.1:{}", recorder.port);
            let client = Client::builder(authority).api_key(fake.api_key()).build();
            (client, None)
        }
        Some((location, listen, path)) => {
            let site = Site {
                listen,
                server: location.to_owned(),
                ..Site::of(recorder.port)
            };
            let nginx = Nginx::start(&site);
            let transport = nginx.transport().build().expect("a transport");
            let client = Client::builder(format!("{}{path}", nginx.authority()))
                .api_key(fake.api_key())
                .build_with(transport);
            (client, Some(nginx))
        }
    };
    let client = client.expect("a client");
    drive_all(&client).await.expect("all succeed");
    recorder.arrived()
}
