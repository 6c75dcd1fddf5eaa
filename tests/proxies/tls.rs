//! Versions of TLS and of HTTP.

use crate::nginx::{Nginx, Site};
use crate::upstream::Upstream;

pub(crate) async fn tls_1_2_and_1_3_are_spoken_with_both_versions_of_http() {
    let upstream = Upstream::start().await;
    for version in ["TLSv1.2", "TLSv1.3"] {
        for (listen, protocol) in [("ssl http2", "HTTP/2.0"), ("ssl", "HTTP/1.1")] {
            let site = Site {
                listen,
                ..Site::of(upstream.port())
            };
            let nginx = Nginx::start(&site.with(&format!(
                "ssl_protocols {version};
                add_header x-spoken '$ssl_protocol $server_protocol';"
            )));
            let transport = nginx.transport().build().expect("a transport");
            let headers = nginx.headers(&transport, &upstream.key()).await;
            assert_eq!(headers["x-spoken"], format!("{version} {protocol}"));
        }
    }
}
