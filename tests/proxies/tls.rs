//! Versions of TLS and of HTTP.

use http_body_util::BodyExt;
use idpflare_management::{ApiRequest, Authority, GetUserStats, UserStats};
use tower::ServiceExt;

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
            // The raw transport shows the headers of a success.
            let authority: Authority = nginx.authority().parse().expect("an authority");
            let mut request = GetUserStats::new().to_http(&authority).expect("a request");
            let key = format!("Bearer {}", upstream.key());
            let key = key.try_into().expect("a header");
            request
                .headers_mut()
                .insert(http::header::AUTHORIZATION, key);
            let transport = nginx.transport().build().expect("a transport");
            let reply = transport.oneshot(request).await.expect("a reply");
            assert_eq!(reply.headers()["x-spoken"], format!("{version} {protocol}"));
            let body = reply.into_body().collect().await.expect("a body");
            serde_json::from_slice::<UserStats>(&body.to_bytes()).expect("stats");
        }
    }
}
